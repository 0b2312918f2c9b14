// From gRPC's context to ours, and back to its status.
#include "service/rpc.hpp"

#include <chrono>
#include <string>

namespace ipcs::service {
namespace {

Call::Clock::time_point steady_deadline(const grpc::ServerContext& context) {
  const auto deadline = context.deadline();
  const auto now = std::chrono::system_clock::now();
  // "No deadline" is a time so far away that the sum below would overflow.
  if (deadline - now > std::chrono::hours(24 * 365)) return Call::Clock::time_point::max();
  return Call::Clock::now() + (deadline - now);
}

std::optional<TraceContext> trace_of(const grpc::ServerContext& context) {
  const auto found = context.client_metadata().find("traceparent");
  if (found == context.client_metadata().end()) return std::nullopt;
  return parse_traceparent({found->second.data(), found->second.size()});
}

// A client's mistake or an everyday answer is not worth a line; a failing store is.
bool is_ours(Code code) {
  return code == Code::kInternal || code == Code::kUnknown || code == Code::kDataLoss || code == Code::kResourceExhausted ||
         code == Code::kPermissionDenied;
}

}  // namespace

Rpc::Rpc(const grpc::ServerContext& context, std::string_view method, const log::Log& log, metrics::Rpc* counted)
    : method_(method), log_(log), counted_(counted), trace_(trace_of(context)), call_(steady_deadline(context)) {
  if (trace_) call_.set_trace(trace_->trace_id, trace_->span_id);
}

void Rpc::count(Code code) const noexcept {
  if (counted_ != nullptr) counted_->done(code, Call::Clock::now() - begun_);
}

grpc::Status Rpc::failed(Code code, const char* message) const {
  count(code);
  const log::Level level = is_ours(code) ? log::Level::kError : log::Level::kDebug;
  if (log_.enabled(level)) {
    if (trace_) {
      log_.write(level, message, {{"rpc", std::string(method_)}, {"code", code_name(code)}, {"trace_id", trace_->trace_hex()},
                                  {"span_id", trace_->span_hex()}});
    } else {
      log_.write(level, message, {{"rpc", std::string(method_)}, {"code", code_name(code)}});
    }
  }
  return grpc::Status(static_cast<grpc::StatusCode>(code), message);
}

}  // namespace ipcs::service
