// Signals are taken by one thread, so that no handler ever interrupts another.
#include "daemon/signals.hpp"

#include <unistd.h>

#include <csignal>

namespace ipcs::daemon {
namespace {

sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGHUP);
  return set;
}

[[noreturn]] void die_of(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);  // the first process of a container does not die of signals
}

}  // namespace

void block_signals() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

Signals::Signals() : thread_([this] { run(); }) {}

Signals::~Signals() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  ::pthread_kill(thread_.native_handle(), SIGHUP);
  thread_.join();
}

void Signals::run() {
  const sigset_t set = ending_signals();
  for (;;) {
    int signal = 0;
    const bool taken = ::sigwait(&set, &signal) == 0;
    const std::lock_guard lock(mutex_);
    if (over_) return;
    if (!taken || signal == SIGHUP) continue;
    if (!held_) die_of(signal);
    signal_ = signal;
    changed_.notify_one();
  }
}

void Signals::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

int Signals::wait_for_end(std::chrono::seconds interval, const std::function<void()>& meanwhile) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, interval, [this] { return signal_ != 0; })) {
    lock.unlock();
    meanwhile();
    lock.lock();
  }
  return signal_;
}

}  // namespace ipcs::daemon
