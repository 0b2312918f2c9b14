// The copy of the previous store that goes on by itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "content/content.hpp"
#include "log/log.hpp"

namespace ipcs::content {

// A thread that runs copy_blobs() at a bounded rate until nothing is lacking any more, or only what can't be copied; one line in
// the log says which. A failure (a full disk, another copy under way) is followed by another try. It ends with the object;
// the next start goes on where it was.
class BackgroundCopy {
 public:
  struct Options {
    uint64_t rate = 0;                     // bytes a second, above 0; a quarter of it while clients are busy
    std::function<double()> activity;      // grows while clients read and write; any thread
    std::chrono::milliseconds retry{60'000};  // after a failure
  };

  // `content` has a previous store, and outlives this.
  BackgroundCopy(Content& content, Options options, log::Log log);
  BackgroundCopy(const BackgroundCopy&) = delete;
  BackgroundCopy& operator=(const BackgroundCopy&) = delete;
  ~BackgroundCopy();

  // Whether it still has something to do.
  bool active() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  // One run over all blobs; whether another one may help.
  bool try_all();
  // Waits until `done` bytes are not too many.
  void pace(uint64_t done);
  // Returns early when this is to end.
  void wait(Clock::duration time);

  Content& content_;
  const Options options_;
  const log::Log log_;
  Call call_;
  uint64_t paced_ = 0;       // of the bytes of this run
  double seen_activity_ = 0;
  std::string last_failure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false, active_ = true;
  std::thread thread_;  // last: it uses the others
};

}  // namespace ipcs::content
