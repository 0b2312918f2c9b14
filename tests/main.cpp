// The entry point of every Catch2 test program.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#if defined(__SANITIZE_THREAD__)
// gRPC's templates are compiled into this program, but what orders them lies in a library that the sanitizer does not see.
// Nothing of ours is called from the functions named here.
extern "C" const char* __tsan_default_suppressions() {
  return "race:grpc::internal::CallOp*\n"
         "race:grpc::internal::InterceptorBatchMethodsImpl*\n"
         "race:grpc::Server::CallbackRequest*\n"
         "race:grpc::ServerAsyncReaderWriter*\n";
}
#endif
