// Looks whether somebody listens before gRPC tries, and puts its statuses into words.
#include "image/rpc.hpp"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::image {
namespace {

constexpr int kMaxMessage = 16 << 20;

// 0, or what connect() fails with.
int knock(const sockaddr_un& address) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int error = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

}  // namespace

Peer Peer::with(std::string key, std::string value) const {
  Peer peer = *this;
  peer.metadata.emplace_back(std::move(key), std::move(value));
  return peer;
}

std::shared_ptr<grpc::Channel> dial(const std::string& address, const std::string& who, const std::string& hint) {
  constexpr std::string_view kScheme = "unix://";
  const std::string path = address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
  sockaddr_un socket{};
  socket.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof socket.sun_path) {
    throw Error(Code::kInvalidArgument, fmt::format("\"{}\" is no socket path: it wants 1 to {} bytes ({})", path,
                                                    sizeof socket.sun_path - 1, hint));
  }
  path.copy(socket.sun_path, sizeof socket.sun_path - 1);
  switch (const int error = knock(socket)) {
    case 0:
      break;
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      throw Error(Code::kUnavailable, fmt::format("{} is not listening on {}: is it running? ({})", who, path, hint));
    case EACCES:
    case EPERM:
      throw Error(Code::kPermissionDenied, fmt::format("{}: permission denied ({})", path, hint));
    default:
      throw Error(Code::kUnavailable, fmt::format("{}: {} ({})", path, std::strerror(error), hint));
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetMaxSendMessageSize(kMaxMessage);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

Request::Request(const Peer& peer, const oci::Call& call, bool bounded) {
  for (const auto& [key, value] : peer.metadata) context_.AddMetadata(key, value);
  auto left = std::chrono::nanoseconds::max();
  if (call.deadline != oci::Call::Clock::time_point::max()) left = call.deadline - oci::Call::Clock::now();
  if (bounded && peer.timeout) left = std::min(left, *peer.timeout);
  if (left != std::chrono::nanoseconds::max()) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
  }
  stopped_.emplace(call.stop, [this] { context_.TryCancel(); });
}

void check(const grpc::Status& status, const Peer& peer, const oci::Call& call) {
  if (status.ok()) return;
  call.check();
  const auto code = static_cast<Code>(status.error_code());
  const std::string text = status.error_message().empty() ? std::string(code_name(code)) : status.error_message();
  switch (code) {
    case Code::kUnimplemented:
      // "" and "unknown service" are gRPC's own words for a method that is not there.
      if (status.error_message().empty() || text.starts_with("unknown "))
        throw Error(code, peer.name + " does not know this request");
      throw Error(code, text);
    case Code::kDeadlineExceeded:
      throw Error(code, peer.name + ": no answer in the time it had (--timeout sets another limit)");
    case Code::kUnavailable:
      throw Error(code, peer.name + ": " + text);
    default:
      throw Error(code, text);
  }
}

}  // namespace ipcs::image
