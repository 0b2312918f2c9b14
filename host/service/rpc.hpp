// What all RPCs share: deadline and trace from gRPC's context, and how a failure becomes a gRPC status.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <exception>
#include <optional>
#include <string_view>

#include "ipcs/error.hpp"
#include "ipcs/store.hpp"
#include "log/log.hpp"
#include "trace/context.hpp"

namespace ipcs::service {

// The deadline that the client has set, far away when it has set none.
Call::Clock::time_point deadline_of(const grpc::ServerContext& context);

// The trace that the client continues, if any.
std::optional<trace::Context> trace_of(const grpc::ServerContext& context);

// The status of an RPC that failed. A failure that is ours, not the client's, is logged with the trace id; others only at
// level debug. `method` is the method's name without package and service.
grpc::Status failure_status(Code code, const char* message, std::string_view method,
                            const std::optional<trace::Context>& trace, const log::Log& log);

// At level debug, and at no cost otherwise: one line for an RPC that succeeded, so that a trace can be followed.
void log_success(std::string_view method, Call::Clock::time_point begun, const std::optional<trace::Context>& trace,
                 const log::Log& log);

// The circumstances of one RPC on gRPC's own threads: its deadline and its trace. Lives as long as the handler.
class Rpc {
 public:
  // `method` is a literal, for the log.
  Rpc(const grpc::ServerContext& context, std::string_view method, const log::Log& log);

  const Call& call() const noexcept { return call_; }
  Call& call() noexcept { return call_; }

  // Runs a handler; this is where exceptions end. An Error becomes a status of the same code and text, anything else
  // INTERNAL.
  template <class Body>
  grpc::Status run(Body&& body) const {
    try {
      body();
      log_success(method_, begun_, trace_, log_);
      return grpc::Status::OK;
    } catch (const Error& e) {
      return failure_status(e.code(), e.what(), method_, trace_, log_);
    } catch (const std::exception& e) {
      return failure_status(Code::kInternal, e.what(), method_, trace_, log_);
    }
  }

 private:
  const Call::Clock::time_point begun_ = Call::Clock::now();
  const std::string_view method_;
  const log::Log& log_;
  std::optional<trace::Context> trace_;
  Call call_;
};

}  // namespace ipcs::service
