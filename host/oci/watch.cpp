// The thread that ends waiting.
#include "oci/watch.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipcs/error.hpp"

namespace ipcs::oci {

using Clock = Call::Clock;

// A descriptor of its own, since whoever uses the socket may close it, and its number may then be another's.
Watch::Guard::Guard(Watch& watch, int fd, const Call& call)
    : watch_(watch),
      fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)),
      call_(call),
      limit_(Clock::time_point::max().time_since_epoch().count()) {
  if (fd_ < 0) throw Error(Code::kResourceExhausted, "no file descriptor is left");
  {
    const std::lock_guard lock(watch_.mutex_);
    watch_.guards_.insert(this);
  }
  watch_.changed_.notify_one();
  stopped_.emplace(call_.stop, [this] { end(); });
}

Watch::Guard::~Guard() {
  stopped_.reset();
  {
    const std::lock_guard lock(watch_.mutex_);
    watch_.guards_.erase(this);
  }
  ::close(fd_);
}

void Watch::Guard::within(Clock::duration time) noexcept {
  limit_ = (Clock::now() + time).time_since_epoch().count();
}

bool Watch::Guard::ended() const {
  if (!shut_) return false;
  call_.check();
  return true;
}

void Watch::Guard::end() noexcept {
  shut_ = true;
  ::shutdown(fd_, SHUT_RDWR);
}

Watch::Watch() : thread_([this] { run(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Watch::run() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    if (guards_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const Clock::time_point now = Clock::now();
    for (Guard* guard : guards_) {
      const bool late = now >= guard->call_.deadline || now.time_since_epoch().count() >= guard->limit_;
      if (late && !guard->shut_) guard->end();
    }
    changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
}

}  // namespace ipcs::oci
