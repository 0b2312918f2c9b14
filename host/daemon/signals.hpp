// The signals that end the daemon.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace ipcs::daemon {

// Blocks SIGTERM, SIGINT and SIGHUP in this thread and all that it starts from now on, and ignores SIGPIPE. Call it first
// in main().
void block_signals();

// Takes the blocked signals on a thread of its own. SIGHUP is no reason to end and is passed over. One at a time.
class Signals {
 public:
  // A signal ends the process at once, as if nobody had blocked it: what starts may hang, and nothing was promised yet.
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;

  // From now on a signal is for wait_for_end().
  void hold();
  // Waits for a signal, also one that came since hold(), and returns its number. Calls `meanwhile` after each interval.
  int wait_for_end(std::chrono::seconds interval, const std::function<void()>& meanwhile);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false, over_ = false;
  int signal_ = 0;
  std::thread thread_;
};

}  // namespace ipcs::daemon
