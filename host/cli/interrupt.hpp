// Ctrl-C: ends what is under way in good order.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

namespace ipcs::cli {

// Thrown where work stops because the user asked for it.
struct Interrupted {};

// Waits for SIGINT and SIGTERM on a thread of its own. Made before any other thread, so that they inherit the signal
// mask; at most one at a time. A second signal ends the program at once.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool requested() const noexcept { return signal_.load() != 0; }
  // Throws Interrupted when it was requested.
  void check() const;
  // Waits until `fd` can be read or is at its end; at most so long, then the result is false. Throws Interrupted.
  bool wait_readable(int fd, std::chrono::milliseconds limit = std::chrono::milliseconds::max()) const;

  // `cancel` is called once when a signal comes, on another thread; at once when it has come already. Empty: nothing.
  void on_request(std::function<void()> cancel);

  // Ends the process by the signal that came, as the shell above expects. Only when requested().
  [[noreturn]] void die() const;

 private:
  void run();

  int wake_fd_;  // readable once a signal has come
  std::atomic<int> signal_{0};
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::function<void()> cancel_;
  std::thread thread_;
};

}  // namespace ipcs::cli
