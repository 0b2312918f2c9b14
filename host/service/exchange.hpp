// One RPC as its handler sees it: request messages come in and answers go out, one at a time.
#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ipcs/store.hpp"
#include "metrics/metrics.hpp"

namespace ipcs::service {

// What follows an answer.
enum class Next {
  kFinish,       // the RPC ends with OK
  kWait,         // nothing is sent: on_sent() is called in the lane for steps that wait
  kPark,         // lane kInline only: no thread waits; on_sent() is called after the event that park() asks for
  kSendMore,     // on_sent() is called when the answer is on its way
  kReadRequest,  // on_request() is called with the next message; the RPC ends with OK when the client sends no more
};

// An answer, none when nothing is to be sent, and what follows it.
struct Step {
  std::optional<grpc::ByteBuffer> message;
  Next next = Next::kFinish;
};

// Where a step of an RPC runs. Lanes never share threads: whatever may wait for a network can fill its own lane only.
enum class Lane {
  kInline,  // at once, on the thread that took the event: microseconds
  kLocal,   // may wait for the local disk
  kRemote,  // may wait for the network
  kLookUp,  // may wait for the network, a tenth of a second or so: containerd is waiting under a lock
};

// Who calls.
struct Caller {
  std::string peer;   // as gRPC names him
  std::string lease;  // containerd's header for who is to hold what is written; empty: none
};

// The handler of one RPC. Its functions never run at the same time, but on different threads. An Error that they throw
// is the RPC's status.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // Of methods that want to know, before anything else. Must not throw.
  virtual void on_caller(const Caller&) {}
  // Where on_request(request) is to run, and the steps that follow it. Runs on the thread that took the event.
  virtual Lane lane(grpc::ByteBuffer& request) = 0;
  virtual Step on_request(const Call& call, grpc::ByteBuffer& request) = 0;
  virtual Step on_sent(const Call&) { return {}; }
  // Where an RPC goes on whose step said kWait, to its end.
  virtual Lane waiting_lane() const noexcept { return Lane::kLocal; }
  // Sees to it that `tag` comes out of `queue` once, when on_sent() is to be called.
  virtual void park(grpc::CompletionQueue&, void* /*tag*/) {}
  // The call is over while it is parked: the tag is to come now. May be called when it is on its way already.
  virtual void unpark() {}
};

// A method that a server offers.
struct Method {
  std::string path;  // "/package.Service/Method"
  std::function<std::unique_ptr<Exchange>()> start;
  metrics::Rpc* metrics = nullptr;  // counts the calls; null: nobody does
  bool tells_caller = false;        // the exchange's on_caller() is called
};

}  // namespace ipcs::service
