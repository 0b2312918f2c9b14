// Signals are taken by sigwait: nothing that a handler may not do has to be avoided.
#include "cli/interrupt.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <string>

#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

sigset_t signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

[[noreturn]] void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  const sigset_t set = signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);
}

}  // namespace

Interrupt::Interrupt() : wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_fd_ < 0) throw Error(Code::kResourceExhausted, std::string("eventfd: ") + std::strerror(errno));
  const sigset_t set = signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { run(); });
}

Interrupt::~Interrupt() {
  over_.store(true);
  ::pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
  ::close(wake_fd_);
}

void Interrupt::run() {
  const sigset_t set = signals();
  for (;;) {
    int signal = 0;
    if (::sigwait(&set, &signal) != 0) continue;
    if (over_.load()) return;
    if (requested()) die_by(signal);
    signal_.store(signal);
    const uint64_t one = 1;
    // The counter was 0: the write can't fail for want of room.
    if (::write(wake_fd_, &one, sizeof one) < 0) die_by(signal);
    const std::lock_guard guard(mutex_);
    if (cancel_) cancel_();
  }
}

void Interrupt::check() const {
  if (requested()) throw Interrupted{};
}

bool Interrupt::wait_readable(int fd, std::chrono::milliseconds limit) const {
  pollfd fds[] = {{fd, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  const int most = limit.count() > INT_MAX ? -1 : static_cast<int>(limit.count());
  int ready = 0;
  while ((ready = ::poll(fds, 2, most)) < 0 && errno == EINTR) continue;
  check();
  return ready != 0;
}

void Interrupt::on_request(std::function<void()> cancel) {
  const std::lock_guard guard(mutex_);
  cancel_ = std::move(cancel);
  if (requested() && cancel_) cancel_();
}

void Interrupt::die() const {
  die_by(signal_.load());
}

}  // namespace ipcs::cli
