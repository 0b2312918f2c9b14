// One RPC on gRPC's completion queue: a state machine between its events and its Exchange.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <unordered_map>

#include "ipcs/store.hpp"
#include "log/log.hpp"
#include "service/exchange.hpp"
#include "trace/context.hpp"
#include "trace/exporter.hpp"
#include "service/worker_pool.hpp"

namespace ipcs::service {

// What all RPCs of a server share. Outlives them.
struct CallContext {
  grpc::AsyncGenericService* service;
  grpc::ServerCompletionQueue* queue;
  std::unordered_map<std::string_view, const Method*> methods;
  WorkerPool* local;   // lane of the local disk
  WorkerPool* remote;  // lane of the network
  WorkerPool* look_up;  // lane of searches on it
  log::Log log;
  trace::Exporter* exporter = nullptr;  // null: nobody traces
  std::atomic<int> active{0};  // accepted and not yet deleted
};

// Deletes itself when gRPC has delivered its last event.
class ActiveCall {
 public:
  // Waits for the next RPC.
  static void accept(CallContext& context) { new ActiveCall(context); }

  // What the completion queue carries.
  struct Tag {
    ActiveCall* call;
    void (ActiveCall::*handle)(bool ok);
  };
  // Handles an event of the queue.
  static void on_event(void* tag, bool ok);

 private:
  explicit ActiveCall(CallContext& context);
  ~ActiveCall();

  void on_accepted(bool ok);
  void on_request(bool ok);
  void on_written(bool ok);
  void on_unparked(bool ok);
  void on_finished(bool ok);
  void on_done(bool ok);

  // Runs `step` in its lane, then does what it says.
  template <class Body>
  void run(Body body);
  // Runs a last step where it may wait.
  template <class Body>
  void end(Body body);
  void apply(Step step);
  void finish(const grpc::Status& status);
  void fail(Code code, const char* message);
  void count(Code code) const;
  // The method's name without package and service.
  std::string_view name() const noexcept;
  // One of the two events after which nothing more comes has been handled.
  void release();

  CallContext& context_;
  grpc::GenericServerContext server_context_;
  grpc::GenericServerAsyncReaderWriter stream_{&server_context_};
  Tag accepted_{this, &ActiveCall::on_accepted};
  Tag request_{this, &ActiveCall::on_request};
  Tag written_{this, &ActiveCall::on_written};
  Tag unparked_{this, &ActiveCall::on_unparked};
  Tag finished_{this, &ActiveCall::on_finished};
  Tag done_{this, &ActiveCall::on_done};
  std::atomic<int> pending_{2};  // finished and done

  Call call_;
  std::optional<trace::Context> trace_;
  std::optional<trace::Span> span_;
  const Method* method_ = nullptr;
  Call::Clock::time_point begun_;
  std::unique_ptr<Exchange> exchange_;
  Lane lane_ = Lane::kInline;
  Next next_ = Next::kReadRequest;
  bool parked_ = false;  // touched by the queue's thread only
  grpc::ByteBuffer message_;
};

}  // namespace ipcs::service
