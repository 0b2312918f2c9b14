// From gRPC's context to ours, and back to its status.
#include "service/rpc.hpp"

#include <chrono>
#include <string>

namespace ipcs::service {
namespace {

// A client's mistake or an everyday answer is not worth a line; a failing store is.
bool is_ours(Code code) {
  return code == Code::kInternal || code == Code::kUnknown || code == Code::kDataLoss ||
         code == Code::kResourceExhausted || code == Code::kPermissionDenied;
}

}  // namespace

Call::Clock::time_point deadline_of(const grpc::ServerContext& context) {
  const auto deadline = context.deadline();
  const auto now = std::chrono::system_clock::now();
  // "No deadline" is a time so far away that the sum below would overflow.
  if (deadline - now > std::chrono::hours(24 * 365)) return Call::Clock::time_point::max();
  return Call::Clock::now() + (deadline - now);
}

std::optional<trace::Context> trace_of(const grpc::ServerContext& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return std::nullopt;
  return trace::parse_traceparent({found->second.data(), found->second.size()});
}

grpc::Status failure_status(Code code, const char* message, std::string_view method,
                            const std::optional<trace::Context>& trace, const log::Log& log) {
  const log::Level level = is_ours(code) ? log::Level::kError : log::Level::kDebug;
  if (log.enabled(level)) {
    const std::string rpc(method);
    if (trace) {
      log.write(level, message, {{"rpc", rpc}, {"code", code_name(code)}, {"trace_id", trace->trace_hex()},
                                 {"span_id", trace->span_hex()}});
    } else {
      log.write(level, message, {{"rpc", rpc}, {"code", code_name(code)}});
    }
  }
  return grpc::Status(static_cast<grpc::StatusCode>(code), message);
}

void log_success(std::string_view method, Call::Clock::time_point begun, const std::optional<trace::Context>& trace,
                 const log::Log& log) {
  if (!log.enabled(log::Level::kDebug)) return;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Call::Clock::now() - begun);
  const std::string rpc(method), microseconds = std::to_string(took.count());
  if (trace) {
    log.debug("answered", {{"rpc", rpc}, {"code", code_name(Code::kOk)}, {"us", microseconds},
                           {"trace_id", trace->trace_hex()}, {"span_id", trace->span_hex()}});
  } else {
    log.debug("answered", {{"rpc", rpc}, {"code", code_name(Code::kOk)}, {"us", microseconds}});
  }
}

Rpc::Rpc(const grpc::ServerContext& context, std::string_view method, const log::Log& log)
    : method_(method), log_(log), trace_(trace_of(context)), call_(deadline_of(context)) {
  if (trace_) call_.set_trace(trace_->trace_id, trace_->span_id);
}

}  // namespace ipcs::service
