// Ends waiting on sockets: whoever blocks in one is woken when time is over or the work is cancelled.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "oci/call.hpp"

namespace ipcs::oci {

// Libraries wait in their own ways, each with a time limit for one step at best; shutting the socket down ends them
// all. One thread, which looks ten times a second while anything is watched.
class Watch {
 public:
  // While it lives, `fd` is shut down when the call's deadline or the limit has passed or its stop was requested.
  class Guard {
   public:
    Guard(Watch& watch, int fd, const Call& call);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    // From now on the limit is `time` away.
    void within(Call::Clock::duration time) noexcept;
    // Why the socket was shut down: throws Error kCancelled, or kDeadlineExceeded for the call's deadline. Returns true
    // for the limit, false when it was not shut down.
    bool ended() const;
    // Shuts the socket down now.
    void end() noexcept;

   private:
    friend class Watch;

    Watch& watch_;
    const int fd_;
    const Call call_;
    std::atomic<Call::Clock::rep> limit_;
    std::atomic<bool> shut_{false};
    std::optional<std::stop_callback<std::function<void()>>> stopped_;
  };

  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Guard*> guards_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace ipcs::oci
