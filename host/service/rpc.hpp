// What every RPC handler shares: its call context, and how an exception becomes a gRPC status.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <exception>
#include <optional>
#include <string_view>

#include "ipcs/error.hpp"
#include "ipcs/store.hpp"
#include "log/log.hpp"
#include "metrics/metrics.hpp"
#include "service/trace.hpp"

namespace ipcs::service {

// The circumstances of one RPC, taken from gRPC's context: its deadline and its trace. Lives as long as the handler.
class Rpc {
 public:
  // `method` is a literal, for the log. `counted` gets the code and the time of the call; null: nobody counts.
  Rpc(const grpc::ServerContext& context, std::string_view method, const log::Log& log, metrics::Rpc* counted = nullptr);

  const Call& call() const noexcept { return call_; }

  // Runs a handler; this is where exceptions end. An Error becomes a status of the same code and text, anything else
  // INTERNAL. Failures that are ours, not the client's, are logged with the trace id.
  template <class Body>
  grpc::Status run(Body&& body) const {
    try {
      body();
      count(Code::kOk);
      return grpc::Status::OK;
    } catch (const Error& e) {
      return failed(e.code(), e.what());
    } catch (const std::exception& e) {
      return failed(Code::kInternal, e.what());
    }
  }

 private:
  grpc::Status failed(Code code, const char* message) const;
  void count(Code code) const noexcept;

  const std::string_view method_;
  const log::Log& log_;
  metrics::Rpc* const counted_;
  const Call::Clock::time_point begun_ = Call::Clock::now();
  std::optional<TraceContext> trace_;
  Call call_;
};

}  // namespace ipcs::service
