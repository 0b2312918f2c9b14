// Signals are taken by one thread, so that no handler ever interrupts another.
#include "daemon/signals.hpp"

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

}  // namespace

void block_signals() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

int wait_for_end() {
  const sigset_t set = ending_signals();
  for (;;) {
    int signal = 0;
    if (::sigwait(&set, &signal) == 0 && signal != SIGHUP) return signal;
  }
}

}  // namespace ipcs::daemon
