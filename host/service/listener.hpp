// A listening unix socket of our own: bound safely, accepted from by a thread that outlives every shortage.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "log/log.hpp"

namespace ipcs::service {

// Where to listen, and who may connect.
struct Endpoint {
  std::string path;                // of the unix socket
  std::optional<uid_t> uid;        // owner of the socket; nothing: the daemon's
  std::optional<gid_t> gid;
  mode_t mode = 0660;
};

// Listens from construction until stop(). Nobody can connect before owner and mode are as configured.
class Listener {
 public:
  // Takes a lock beside the socket (`<path>.lock`), removes a socket that a dead daemon left, binds and listens. Throws
  // Error kFailedPrecondition when another daemon has the socket, kInvalidArgument when the path can't be bound; both
  // name it and say why. An HTTP/2 client speaks first, and at once; who is silent for longer than `silence` is let go.
  Listener(const Endpoint& endpoint, log::Log log, std::chrono::milliseconds silence = std::chrono::seconds(20));
  // stop()s.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Hands each connection that says something to `take`, on a thread of the listener; `take` owns the descriptor, which
  // does not block. When descriptors or memory run out, new connections wait in the kernel until there are some again.
  void start(std::function<void(int fd)> take);

  // No more connections; `take` is not called any more, and the path is gone. Those that nobody took are closed. The lock
  // stays until the destructor.
  void stop();

 private:
  // A connection that has not said anything yet.
  struct Silent {
    int fd;
    std::chrono::steady_clock::time_point until;
  };

  void run();
  // Accepts what waits. False when there is a shortage: to be tried again later.
  bool accept_waiting();
  void warn(const char* why);
  void close_all() noexcept;

  const std::string path_;
  const log::Log log_;
  const std::chrono::milliseconds silence_;
  int lock_fd_ = -1, fd_ = -1, stop_fd_ = -1;
  std::function<void(int)> take_;
  std::vector<Silent> silent_;
  std::optional<std::chrono::steady_clock::time_point> warned_;
  std::thread thread_;
};

}  // namespace ipcs::service
