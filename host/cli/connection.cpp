// Looks whether somebody listens before gRPC tries, which would only say that it failed.
#include "cli/connection.hpp"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/text.hpp"
#include "config/config.hpp"
#include "config/environment.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

constexpr int kMaxMessage = 16 << 20;  // as the server's

std::string without_scheme(std::string address) {
  constexpr std::string_view kScheme = "unix://";
  return address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
}

bool is_socket(const std::string& path) {
  struct stat entry {};
  return ::stat(path.c_str(), &entry) == 0 && S_ISSOCK(entry.st_mode);
}

// Connects and hangs up. Throws Error that says why it can't be done.
void knock(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    throw Error(Code::kInvalidArgument,
                fmt::format("\"{}\" is no socket path: it wants 1 to {} bytes (-a names another "
                            "socket)",
                            path, sizeof address.sun_path - 1));
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw Error(Code::kResourceExhausted, fmt::format("{}: {}", path, std::strerror(errno)));
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = result == 0 ? 0 : errno;
  ::close(fd);
  switch (error) {
    case 0:
      return;
    case ENOENT:
    case ENOTDIR:
      throw Error(Code::kUnavailable,
                  fmt::format("ipcsd is not listening on {}: there is no such socket: is it running? (-a names "
                              "another one)",
                              path));
    case ECONNREFUSED:
      // Also what the system says of a path that is no socket at all.
      if (!is_socket(path))
        throw Error(Code::kUnavailable, fmt::format("{}: not a socket (-a wants ipcsd's control socket)", path));
      throw Error(Code::kUnavailable,
                  fmt::format("ipcsd is not listening on {}: is it running? (-a names another socket)", path));
    case EPROTOTYPE:
      throw Error(Code::kUnavailable, fmt::format("{}: not a socket of ipcsd's kind (-a names another socket)", path));
    case EACCES:
    case EPERM:
      throw Error(
          Code::kPermissionDenied,
          fmt::format("{}: permission denied: run ipcsctl as the socket's owner, or open the socket to others with "
                      "`mode` in ipcsd's [control] (-a names another socket)",
                      path));
    default:
      throw Error(Code::kUnavailable, fmt::format("{}: {} (-a names another socket)", path, std::strerror(error)));
  }
}

}  // namespace

std::string default_address() {
  const auto environment = config::Environment::of_process();
  std::string address = environment.get("IPCS_CONTROL");
  if (address.empty() && !environment.get("IPCS_ROOT").empty()) address = environment.get("IPCS_ROOT") + "/control.sock";
  if (address.empty()) address = config::defaults(environment).control.address;
  if (address.empty())
    throw Error(Code::kInvalidArgument,
                "where ipcsd listens is not known: set XDG_RUNTIME_DIR or IPCS_CONTROL, or name the socket with -a");
  return address;
}

Connection::Connection(std::string address, std::optional<std::chrono::nanoseconds> timeout, Interrupt& interrupt)
    : address_(std::move(address)), timeout_(timeout), interrupt_(interrupt) {
  interrupt_.on_request([this] { cancel_all(); });
}

Connection::~Connection() {
  interrupt_.on_request({});
}

const std::string& Connection::address() {
  if (address_.empty()) address_ = default_address();
  return address_ = without_scheme(std::move(address_));
}

void Connection::connect() {
  if (channel_) return;
  knock(address());
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetMaxSendMessageSize(kMaxMessage);
  channel_ = grpc::CreateCustomChannel("unix:" + address_, grpc::InsecureChannelCredentials(), arguments);
}

std::shared_ptr<grpc::Channel> Connection::channel() {
  connect();
  return channel_;
}

content_api::Content::Stub& Connection::content() {
  connect();
  if (!content_) content_ = content_api::Content::NewStub(channel_);
  return *content_;
}

admin_api::Admin::Stub& Connection::admin() {
  connect();
  if (!admin_) admin_ = admin_api::Admin::NewStub(channel_);
  return *admin_;
}

Connection::Request::Request(Connection& connection) : connection_(connection) {
  if (connection.timeout_)
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(*connection.timeout_));
  const std::lock_guard guard(connection_.mutex_);
  connection_.open_.insert(&context_);
  if (connection_.interrupt_.requested()) context_.TryCancel();
}

Connection::Request::~Request() {
  const std::lock_guard guard(connection_.mutex_);
  connection_.open_.erase(&context_);
}

void Connection::cancel_all() {
  stop_.request_stop();
  const std::lock_guard guard(mutex_);
  for (grpc::ClientContext* context : open_) context->TryCancel();
}

void Connection::check(Request& request) {
  if (std::chrono::system_clock::now() >= request.context()->deadline())
    check({grpc::StatusCode::DEADLINE_EXCEEDED, "deadline exceeded"});
  if (channel_->GetState(false) != GRPC_CHANNEL_READY) check({grpc::StatusCode::UNAVAILABLE, "it has gone"});
}

void Connection::check(const grpc::Status& status) {
  interrupt_.check();
  if (status.ok()) return;
  const auto code = static_cast<Code>(status.error_code());
  switch (code) {
    case Code::kUnimplemented:
      // "" and "unknown method" are what is said where a method is not there; else the backend has no such feature.
      if (!status.error_message().empty() && !status.error_message().starts_with("unknown "))
        throw Error(code, status.error_message());
      throw Error(code,
                  fmt::format("{} is not ipcsd's control socket, or ipcsd is older than ipcsctl: it does not know "
                              "this request (-a names another socket)",
                              address_));
    case Code::kDeadlineExceeded:
      throw Error(code, fmt::format("{}: the request was not done in {} (--timeout sets another limit)", address_,
                                    timeout_ ? duration_text(*timeout_) : std::string("the time it had")));
    case Code::kUnavailable:
      // The daemon says it of a locked ref; gRPC says it when the daemon has gone.
      if (channel_->GetState(false) != GRPC_CHANNEL_READY)
        throw Error(code, fmt::format("lost the connection to ipcsd on {}: {}", address_, status.error_message()));
      [[fallthrough]];
    default:
      throw Error(code, status.error_message().empty() ? std::string(code_name(code)) : status.error_message());
  }
}

}  // namespace ipcs::cli
