// Calls over a unix socket to containerd and to ipcsd's control socket, which end when their Call does.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "oci/call.hpp"

namespace ipcs::image {

// Who is called, and what every call to them carries. A value; copies share the channel.
struct Peer {
  std::shared_ptr<grpc::Channel> channel;
  std::string name;  // begins messages: "containerd on /run/containerd/containerd.sock"
  std::vector<std::pair<std::string, std::string>> metadata;  // e.g. containerd-namespace
  std::optional<std::chrono::nanoseconds> timeout;            // of a call that has one answer

  Peer with(std::string key, std::string value) const;
};

// Connects to a unix socket, its path with or without "unix://". Throws Error kUnavailable, kPermissionDenied,
// kInvalidArgument that name the socket, end in `hint` and say what is wrong with it: gRPC has one text for all of
// these.
std::shared_ptr<grpc::Channel> dial(const std::string& address, const std::string& who, const std::string& hint);

// The circumstances of one call; must outlive it.
class Request {
 public:
  // `bounded`: the peer's timeout holds.
  Request(const Peer& peer, const oci::Call& call, bool bounded = false);
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  grpc::ClientContext* context() { return &context_; }
  void cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::optional<std::stop_callback<std::function<void()>>> stopped_;
};

// Throws Error for what is not OK: kCancelled or kDeadlineExceeded as `call` says, else what the peer said.
void check(const grpc::Status& status, const Peer& peer, const oci::Call& call);

// Makes a call that has one answer, and returns that.
template <class Response, class Stub, class Method, class Message>
Response ask(const Peer& peer, Stub& stub, Method Stub::*method, const Message& message, const oci::Call& call) {
  Request request(peer, call, true);
  Response response;
  check((stub.*method)(request.context(), message, &response), peer, call);
  return response;
}

}  // namespace ipcs::image
