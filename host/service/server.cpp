// gRPC's server behind a listener of ours: how it is put together and how it ends.
#include "service/server.hpp"

#include <grpc/grpc.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "ipcs/error.hpp"
#include "service/active_call.hpp"
#include "service/health_service.hpp"

namespace ipcs::service {
namespace {

constexpr int kWaitingCalls = 16;  // RPCs that can arrive at the same moment without waiting for a thread
constexpr int kMaxStreams = 2000;  // RPCs at once on a connection: fewer than a lane has threads
constexpr int kWindow = 1 << 20;   // bytes that a client may send before they are read; containerd's WRITEs have 1 MiB
constexpr int kMaxMessage = 16 << 20;  // containerd sends up to 8 MiB and some framing

// Handles events until the queue has been shut down and is empty.
void drain(grpc::ServerCompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) ActiveCall::on_event(tag, ok);
}

}  // namespace

struct Server::State {
  std::unique_ptr<HealthService> health;
  Offer offer;  // the health service's methods among it
  grpc::AsyncGenericService generic;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  std::unique_ptr<grpc::Server> server;
  CallContext calls;
  std::thread thread;  // takes the queue's events
};

void choose_poller() { ::setenv("GRPC_POLL_STRATEGY", "poll", 0); }

Server::Server(const Endpoint& endpoint, const log::Log& log) : listener_(endpoint, log) {}

std::unique_ptr<Server> Server::start(const Endpoint& endpoint, Offer offer, Lanes& lanes, const log::Log& log) {
  std::unique_ptr<Server> server(new Server(endpoint, log));

  // Whoever gives gRPC's last reference back waits for its background poller, up to ten seconds: one is kept for good.
  [[maybe_unused]] static const bool kept = (grpc_init(), true);

  auto state = std::make_unique<State>();
  state->health = std::make_unique<HealthService>(offer.methods);
  for (Method& method : state->health->methods()) offer.methods.push_back(std::move(method));
  state->offer = std::move(offer);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  builder.SetMaxSendMessageSize(kMaxMessage);
  // A whole message of a WRITE is let in at once. Probing for such a window would cost a ping for each message.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindow);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  for (grpc::Service* service : state->offer.services) builder.RegisterService(service);
  builder.RegisterAsyncGenericService(&state->generic);
  state->queue = builder.AddCompletionQueue();
  state->server = builder.BuildAndStart();
  if (!state->server) {
    state->queue->Shutdown();
    drain(*state->queue);
    throw Error(Code::kInternal, "socket " + endpoint.path + ": gRPC's server can't be started");
  }
  state->calls.service = &state->generic;
  state->calls.queue = state->queue.get();
  state->calls.local = &lanes.local;
  state->calls.remote = &lanes.remote;
  state->calls.look_up = &lanes.look_up;
  state->calls.log = log;
  state->calls.exporter = state->offer.exporter;
  for (const Method& method : state->offer.methods) state->calls.methods.emplace(method.path, &method);
  for (int i = 0; i < kWaitingCalls; ++i) ActiveCall::accept(state->calls);
  state->thread = std::thread([queue = state->queue.get()] { drain(*queue); });
  server->state_ = std::move(state);
  server->listener_.start(
      [grpc = server->state_->server.get()](int fd) { grpc::AddInsecureChannelFromFd(grpc, fd); });
  return server;
}

void Server::stop(std::chrono::steady_clock::time_point deadline) {
  if (!state_) return;
  listener_.stop();
  state_->health->stop();
  // By the clock that nobody sets: one that jumped would cut off requests, or wait for them for hours.
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(deadline - std::chrono::steady_clock::now());
  state_->server->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_micros(std::max<int64_t>(rest.count(), 0), GPR_TIMESPAN)));
  // gRPC has cancelled what was left; its last events may still be on their way through a lane.
  while (state_->calls.active > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  state_->queue->Shutdown();
  state_->thread.join();
  state_.reset();
}

Server::~Server() { stop(std::chrono::steady_clock::now()); }

}  // namespace ipcs::service
