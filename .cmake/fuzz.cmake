# cmake -C .cmake/fuzz.cmake -S . -B build-fuzz
set(CMAKE_C_COMPILER clang-16 CACHE STRING "")
set(CMAKE_CXX_COMPILER clang++-16 CACHE STRING "")
set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1" CACHE STRING "")
set(IPCS_SANITIZE "address,undefined,fuzzer-no-link" CACHE STRING "")
set(IPCS_FUZZERS ON CACHE BOOL "")
