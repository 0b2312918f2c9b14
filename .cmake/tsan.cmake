# cmake -C .cmake/tsan.cmake -S . -B build-tsan
# libgrpc, absl and protobuf are not instrumented: run with TSAN_OPTIONS=ignore_noninstrumented_modules=1.
set(CMAKE_BUILD_TYPE Debug CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1" CACHE STRING "")
set(IPCS_SANITIZE "thread" CACHE STRING "")
