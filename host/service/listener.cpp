// gRPC's own listener gives up for ever at its first "too many open files"; this one waits and goes on.
#include "service/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "content/descriptors.hpp"
#include "ipcs/error.hpp"

namespace ipcs::service {
namespace {

constexpr int kSendBuffer = 1 << 20;  // bytes, and as much again for the kernel's own structures

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kBackOff = 100ms;     // between attempts while descriptors are short
constexpr auto kWarnInterval = 60s;  // between two lines about a shortage

Error failure(Code code, const std::string& path, const std::string& what) {
  return Error(code, fmt::format("socket {}: {}", path, what));
}

Error bind_failure(const std::string& path, const char* what, int error) {
  return failure(Code::kInvalidArgument, path, fmt::format("{}: {}", what, std::strerror(error)));
}

void make_parent(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (parent.empty()) return;  // the working directory
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) throw failure(Code::kInvalidArgument, path, fmt::format("its directory can't be made: {}", error.message()));
}

// Removing a socket that is in the way must not take it from a server that lives behind it; this lock asks.
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

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw failure(Code::kInvalidArgument, path, fmt::format("the path has {} bytes, a socket's can have {}", path.size(),
                                                            sizeof address.sun_path - 1));
  path.copy(address.sun_path, path.size());
  return address;
}

void set_access(const Endpoint& endpoint) {
  if (endpoint.uid || endpoint.gid) {
    const uid_t uid = endpoint.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = endpoint.gid.value_or(static_cast<gid_t>(-1));
    if (::chown(endpoint.path.c_str(), uid, gid) != 0) throw bind_failure(endpoint.path, "its owner can't be set", errno);
  }
  if (::chmod(endpoint.path.c_str(), endpoint.mode) != 0)
    throw bind_failure(endpoint.path, "its mode can't be set", errno);
}

// An answer to Read finds room in the socket's buffer at once. Where it does not, gRPC waits for room on a second thread that
// polls for all, and each part of the answer costs changes of threads. Only root may have more than net.core.wmem_max.
void hold_an_answer(int fd) noexcept {
  const int size = kSendBuffer;
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

bool is_shortage(int error) { return error != EAGAIN && error != EINTR && error != ECONNABORTED; }

}  // namespace

Listener::Listener(const Endpoint& endpoint, log::Log log, std::chrono::milliseconds silence)
    : path_(endpoint.path), log_(std::move(log)), silence_(silence) {
  const sockaddr_un address = address_of(path_);
  make_parent(path_);
  lock_fd_ = lock_beside(path_);
  bool bound = false;
  try {
    remove_stale(path_);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd_ < 0 || stop_fd_ < 0) throw bind_failure(path_, "can't be made", errno);
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw bind_failure(path_, "can't be bound", errno);
    bound = true;
    set_access(endpoint);
    if (::listen(fd_, SOMAXCONN) != 0) throw bind_failure(path_, "can't listen", errno);
  } catch (...) {
    if (bound) ::unlink(path_.c_str());
    close_all();
    ::close(lock_fd_);
    throw;
  }
}

void Listener::start(std::function<void(int)> take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { run(); });
}

void Listener::stop() {
  if (fd_ < 0) return;
  if (thread_.joinable()) {
    ::eventfd_write(stop_fd_, 1);
    thread_.join();
  }
  ::unlink(path_.c_str());
  close_all();
}

Listener::~Listener() {
  stop();
  ::close(lock_fd_);
}

void Listener::close_all() noexcept {
  for (const Silent& connection : silent_) ::close(connection.fd);
  silent_.clear();
  for (int* fd : {&fd_, &stop_fd_}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

void Listener::run() {
  bool shortage = false;
  std::vector<pollfd> events;
  for (;;) {
    events = {{stop_fd_, POLLIN, 0}, {shortage ? -1 : fd_, POLLIN, 0}};
    for (const Silent& connection : silent_) events.push_back({connection.fd, POLLIN, 0});
    const auto limit = shortage ? kBackOff : silent_.empty() ? std::chrono::milliseconds(-1) : 1000ms;
    if (::poll(events.data(), events.size(), static_cast<int>(limit.count())) < 0 && errno != EINTR) {
      std::this_thread::sleep_for(kBackOff);  // memory is short
      continue;
    }
    if (events[0].revents != 0) return;
    // Those that spoke, or have gone, are gRPC's now; those that never speak must not hold descriptors for ever.
    const auto now = Clock::now();
    size_t index = 2;
    std::erase_if(silent_, [&](const Silent& connection) {
      if (events[index++].revents != 0) return take_(connection.fd), true;
      if (now < connection.until) return false;
      ::close(connection.fd);
      return true;
    });
    shortage = (shortage || events[1].revents != 0) && !accept_waiting();
  }
}

bool Listener::accept_waiting() {
  for (;;) {
    if (content::descriptors_scarce(content::Reserve::kForCatalog)) return warn("descriptors are short"), false;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      hold_an_answer(fd);
      silent_.push_back({fd, Clock::now() + silence_});
    } else if (errno == EAGAIN) {
      return true;
    } else if (is_shortage(errno)) {
      return warn(std::strerror(errno)), false;
    }
  }
}

void Listener::warn(const char* why) {
  const auto now = Clock::now();
  if (warned_ && now - *warned_ < kWarnInterval) return;
  warned_ = now;
  log_.warn("new connections wait", {{"address", path_}, {"why", why}});
}

}  // namespace ipcs::service
