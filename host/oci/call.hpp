// Until when, and at whose word, work that may wait comes to its end.
#pragma once

#include <chrono>
#include <stop_token>

namespace ipcs::oci {

// Handed down by value or reference through everything that may wait. Its functions may be called on any thread.
struct Call {
  using Clock = std::chrono::steady_clock;

  Clock::time_point deadline = Clock::time_point::max();
  std::stop_token stop;

  static Call within(Clock::duration time, std::stop_token stop = {}) { return {Clock::now() + time, std::move(stop)}; }

  // Throws Error kCancelled or kDeadlineExceeded when the work is over before it was done.
  void check() const;
  bool over() const noexcept { return stop.stop_requested() || Clock::now() >= deadline; }
  // Waits for `time`; throws as check() does as soon as there is reason to.
  void sleep(Clock::duration time) const;
};

}  // namespace ipcs::oci
