// From completion-queue events to an Exchange and back.
#include "service/active_call.hpp"

#include <fmt/format.h>

#include <exception>

#include "content/content.hpp"
#include "service/happens_before.hpp"
#include "service/rpc.hpp"

namespace ipcs::service {

namespace {

Caller caller_of(const grpc::GenericServerContext& context) {
  Caller caller{context.peer(), {}};
  const auto lease = context.client_metadata().find("containerd-lease");
  if (lease != context.client_metadata().end()) caller.lease.assign(lease->second.data(), lease->second.size());
  return caller;
}

}  // namespace

ActiveCall::ActiveCall(CallContext& context) : context_(context) {
  happens_before(&done_);
  server_context_.AsyncNotifyWhenDone(&done_);
  happens_before(&accepted_);
  context.service->RequestCall(&server_context_, &stream_, context.queue, context.queue, &accepted_);
}

ActiveCall::~ActiveCall() = default;

void ActiveCall::on_event(void* tag, bool ok) {
  happens_after(tag);
  const Tag& of = *static_cast<Tag*>(tag);
  (of.call->*of.handle)(ok);
}

void ActiveCall::on_accepted(bool ok) {
  if (!ok) {  // the server ends; gRPC sends no further event for a call that never began
    delete this;
    return;
  }
  ++context_.active;
  accept(context_);
  begun_ = Call::Clock::now();
  call_.set_deadline(deadline_of(server_context_));
  trace_ = trace_of(server_context_);
  if (context_.exporter != nullptr) span_ = trace::Exporter::begin(trace_);
  if (span_) trace_ = span_->context;
  if (trace_) call_.set_trace(trace_->trace_id, trace_->span_id);
  const auto found = context_.methods.find(server_context_.method());
  if (found == context_.methods.end()) {
    finish({grpc::StatusCode::UNIMPLEMENTED, fmt::format("unknown method {}", content::printable(server_context_.method()))});
    return;
  }
  method_ = found->second;
  exchange_ = method_->start();
  if (method_->tells_caller) exchange_->on_caller(caller_of(server_context_));
  happens_before(&request_);
  stream_.Read(&message_, &request_);
}

void ActiveCall::on_request(bool ok) {
  // The client has nothing more to say, or has gone; a stream that never said anything ends as well. What the exchange
  // holds may go to the disk then.
  if (!ok) return end([] { return Step(); });
  try {
    lane_ = exchange_->lane(message_);
  } catch (const Error& e) {
    return fail(e.code(), e.what());
  }
  run([this] { return exchange_->on_request(call_, message_); });
}

void ActiveCall::on_written(bool ok) {
  if (!ok) return end([]() -> Step { throw Error(Code::kCancelled, "the client has gone"); });
  if (next_ == Next::kReadRequest) {
    happens_before(&request_);
    stream_.Read(&message_, &request_);
  } else {
    run([this] { return exchange_->on_sent(call_); });
  }
}

template <class Body>
void ActiveCall::end(Body body) {
  if (lane_ == Lane::kInline) lane_ = exchange_->waiting_lane();
  run(std::move(body));
}

template <class Body>
void ActiveCall::run(Body body) {
  auto guarded = [this, body = std::move(body)] {
    try {
      apply(body());
    } catch (const Error& e) {
      fail(e.code(), e.what());
    } catch (const std::exception& e) {
      fail(Code::kInternal, e.what());
    }
  };
  switch (lane_) {
    case Lane::kInline: return guarded();
    case Lane::kLocal: return context_.local->submit(guarded);
    case Lane::kRemote: return context_.remote->submit(guarded);
    case Lane::kLookUp: return context_.look_up->submit(guarded);
  }
}

void ActiveCall::apply(Step step) {
  message_.Clear();
  next_ = step.next;
  if (step.next == Next::kWait) {
    lane_ = exchange_->waiting_lane();
    run([this] { return exchange_->on_sent(call_); });
  } else if (step.next == Next::kFinish) {
    if (!step.message) return finish(grpc::Status::OK);
    exchange_.reset();
    count(Code::kOk);
    happens_before(&finished_);
    stream_.WriteAndFinish(*step.message, grpc::WriteOptions(), grpc::Status::OK, &finished_);
  } else if (step.next == Next::kPark) {
    if (call_.cancelled()) return fail(Code::kCancelled, "the client has gone");
    parked_ = true;
    happens_before(&unparked_);
    exchange_->park(*context_.queue, &unparked_);
  } else if (step.message) {
    happens_before(&written_);
    stream_.Write(*step.message, &written_);
  } else {
    on_written(true);
  }
}

void ActiveCall::finish(const grpc::Status& status) {
  // Before the client hears of the end: what it held, such as a ref, is free when it does.
  exchange_.reset();
  count(static_cast<Code>(status.error_code()));
  happens_before(&finished_);
  stream_.Finish(status, &finished_);
}

void ActiveCall::fail(Code code, const char* message) {
  finish(failure_status(code, message, name(), trace_, context_.log));
}

std::string_view ActiveCall::name() const noexcept {
  const std::string_view path = method_ == nullptr ? "unknown" : std::string_view(method_->path);
  return path.substr(path.rfind('/') + 1);
}

void ActiveCall::count(Code code) const {
  if (span_ && method_ != nullptr) context_.exporter->end(*span_, method_->path, code);
  if (code == Code::kOk) log_success(name(), begun_, trace_, context_.log);
  if (method_ != nullptr && method_->metrics != nullptr) method_->metrics->done(code, Call::Clock::now() - begun_);
}

void ActiveCall::on_unparked(bool) {
  parked_ = false;
  run([this] { return exchange_->on_sent(call_); });
}

void ActiveCall::on_finished(bool) { release(); }

void ActiveCall::on_done(bool) {
  if (server_context_.IsCancelled()) call_.cancel();
  if (parked_) exchange_->unpark();
  release();
}

void ActiveCall::release() {
  if (--pending_ > 0) return;
  CallContext& context = context_;
  delete this;
  --context.active;
}

}  // namespace ipcs::service
