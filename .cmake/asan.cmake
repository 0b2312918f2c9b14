# cmake -C .cmake/asan.cmake -S . -B build-asan
set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1" CACHE STRING "")
set(IPCS_SANITIZE "address,undefined" CACHE STRING "")
