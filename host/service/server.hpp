// One listening unix socket with the services that answer on it.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "log/log.hpp"
#include "service/exchange.hpp"
#include "service/listener.hpp"
#include "service/worker_pool.hpp"

namespace grpc {
class Service;
}  // namespace grpc

namespace ipcs::trace {
class Exporter;
}  // namespace ipcs::trace

namespace ipcs::service {

// Lets each server wait for its own connections. gRPC's default is one epoll descriptor for the whole process, whose
// waiting thread wakes the right server's thread for every event. Call it in main(), before threads are started; a
// GRPC_POLL_STRATEGY in the environment wins.
void choose_poller();

// Where the steps of RPCs run, for all servers of a daemon together. What hangs in one lane takes no thread from the other.
struct Lanes {
  static constexpr size_t kMaxThreads = 2048;
  WorkerPool local{kMaxThreads};
  WorkerPool remote{kMaxThreads};
  WorkerPool look_up{kMaxThreads};
};

// What a server answers: `methods` on the completion queue, `services` on gRPC's own threads (for the operator's calls,
// which are few). `exporter` gets the spans of the methods; null: nobody does. What they refer to outlives the server.
struct Offer {
  std::vector<Method> methods;
  std::vector<grpc::Service*> services;
  trace::Exporter* exporter = nullptr;
};

// A running gRPC server. start() binds, the destructor stops.
class Server {
 public:
  // Listens as a Listener does, with its failures, and serves what is offered and grpc.health.v1.
  static std::unique_ptr<Server> start(const Endpoint& endpoint, Offer offer, Lanes& lanes, const log::Log& log);

  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Ends: no new requests; those that run have until `deadline`, then they are cancelled. Waits for all of them.
  void stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct State;
  Server(const Endpoint& endpoint, const log::Log& log);

  Listener listener_;
  std::unique_ptr<State> state_;  // null once stopped
};

}  // namespace ipcs::service
