# cmake -C .cmake/release.cmake -S . -B build
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "")
