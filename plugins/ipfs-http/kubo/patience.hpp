// When a wait for Kubo has to end.
#pragma once

#include <chrono>

#include "ipcs/plugin.hpp"

namespace ipcs::kubo {

// A call's circumstances and a limit of silence. Value; lives no longer than the call.
class Patience {
 public:
  Patience(const plugin::Call& call, std::chrono::milliseconds silence) noexcept : call_(&call), silence_(silence) {}

  // Returns when one of `events` (as poll takes them) is there on `fd`. Throws Error kCancelled, kDeadlineExceeded, or
  // kFailedPrecondition when nothing has happened for as long as the limit of silence.
  short wait(int fd, short events) const;
  // Throws as wait() does, where something has been waited for since `begun` in another way.
  void check(std::chrono::steady_clock::time_point begun) const;

 private:
  [[noreturn]] void throw_silent() const;

  const plugin::Call* call_;
  std::chrono::milliseconds silence_;
};

// A call of the plugin's own, for its threads: it ends when cancel() is called, and at its deadline. [thread-safe]
class OwnCall {
 public:
  using Clock = std::chrono::steady_clock;

  explicit OwnCall(Clock::time_point deadline = Clock::time_point::max());
  OwnCall(const OwnCall&) = delete;
  OwnCall& operator=(const OwnCall&) = delete;
  ~OwnCall();

  void cancel() noexcept;
  plugin::Call call() const noexcept { return plugin::Call(&abi_); }

 private:
  int event_ = -1;
  ipcs_call abi_{};
};

}  // namespace ipcs::kubo
