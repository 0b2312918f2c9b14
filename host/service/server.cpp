// Binding a unix socket safely, and gRPC's server behind it.
#include "service/server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "ipcs/error.hpp"
#include "service/active_call.hpp"
#include "service/health_service.hpp"

namespace ipcs::service {
namespace {

constexpr int kWaitingCalls = 16;  // RPCs that can arrive at the same moment without waiting for a thread
constexpr int kMaxMessage = 16 << 20;  // containerd sends up to 8 MiB and some framing

Error failure(Code code, const std::string& path, const std::string& what) {
  return Error(code, fmt::format("socket {}: {}", path, what));
}

// gRPC removes a socket file that is in its way without asking whether a server lives behind it; this lock asks.
int lock_beside(const std::string& path) {
  const std::string lock_path = path + ".lock";
  const int fd = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw failure(Code::kInvalidArgument, path, fmt::format("{}: {}", lock_path, std::strerror(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  ::close(fd);
  if (error == EWOULDBLOCK) throw failure(Code::kFailedPrecondition, path, "another ipcsd is listening here");
  throw failure(Code::kInternal, path, fmt::format("{}: {}", lock_path, std::strerror(error)));
}

void remove_stale(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return;
  if (!S_ISSOCK(info.st_mode)) throw failure(Code::kInvalidArgument, path, "a file that is not a socket is in the way");
  ::unlink(path.c_str());
}

void set_access(const Endpoint& endpoint) {
  if (endpoint.uid || endpoint.gid) {
    const uid_t uid = endpoint.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = endpoint.gid.value_or(static_cast<gid_t>(-1));
    if (::chown(endpoint.path.c_str(), uid, gid) != 0)
      throw failure(Code::kInvalidArgument, endpoint.path, fmt::format("its owner can't be set: {}", std::strerror(errno)));
  }
  if (::chmod(endpoint.path.c_str(), endpoint.mode) != 0)
    throw failure(Code::kInvalidArgument, endpoint.path, fmt::format("its mode can't be set: {}", std::strerror(errno)));
}

void make_parent(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (parent.empty()) return;  // the working directory
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) throw failure(Code::kInvalidArgument, path, fmt::format("its directory can't be made: {}", error.message()));
}

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

Server::Server(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

std::unique_ptr<Server> Server::start(const Endpoint& endpoint, Offer offer, Lanes& lanes, const log::Log& log) {
  make_parent(endpoint.path);
  std::unique_ptr<Server> server(new Server(endpoint.path, lock_beside(endpoint.path)));
  remove_stale(endpoint.path);

  // Whoever gives gRPC's last reference back waits for its background poller, up to ten seconds: one is kept for good.
  [[maybe_unused]] static const bool kept = (grpc_init(), true);

  auto state = std::make_unique<State>();
  state->health = std::make_unique<HealthService>(offer.methods);
  for (Method& method : state->health->methods()) offer.methods.push_back(std::move(method));
  state->offer = std::move(offer);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("unix:" + endpoint.path, grpc::InsecureServerCredentials(), &bound);
  builder.SetMaxReceiveMessageSize(kMaxMessage);
  builder.SetMaxSendMessageSize(kMaxMessage);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  for (grpc::Service* service : state->offer.services) builder.RegisterService(service);
  builder.RegisterAsyncGenericService(&state->generic);
  state->queue = builder.AddCompletionQueue();
  // The socket must never be open to more people than configured, not even for the moment between bind and chmod.
  const mode_t old_umask = ::umask(0177);
  state->server = builder.BuildAndStart();
  ::umask(old_umask);
  if (!state->server || bound == 0) {
    state->server.reset();  // before its queue
    state->queue->Shutdown();
    drain(*state->queue);
    throw failure(Code::kInvalidArgument, endpoint.path, "can't be bound (is the directory writable, the path under 108 bytes?)");
  }
  state->calls.service = &state->generic;
  state->calls.queue = state->queue.get();
  state->calls.local = &lanes.local;
  state->calls.remote = &lanes.remote;
  state->calls.log = log;
  for (const Method& method : state->offer.methods) state->calls.methods.emplace(method.path, &method);
  for (int i = 0; i < kWaitingCalls; ++i) ActiveCall::accept(state->calls);
  state->thread = std::thread([queue = state->queue.get()] { drain(*queue); });
  server->state_ = std::move(state);
  set_access(endpoint);
  return server;
}

void Server::stop(std::chrono::system_clock::time_point deadline) {
  if (!state_) return;
  state_->health->stop();
  state_->server->Shutdown(deadline);
  // gRPC has cancelled what was left; its last events may still be on their way through a lane.
  while (state_->calls.active > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  state_->queue->Shutdown();
  state_->thread.join();
  state_.reset();
  ::unlink(path_.c_str());
}

Server::~Server() {
  stop(std::chrono::system_clock::now());
  ::close(lock_fd_);
}

}  // namespace ipcs::service
