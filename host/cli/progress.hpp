// How far a long transfer is, on standard error: a bar on a terminal, now and then a line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace ipcs::cli {

// The numbers behind a bar.
struct ProgressState {
  std::string label;    // what is being done
  std::string subject;  // with what, may be empty
  uint64_t done = 0;    // bytes
  uint64_t total = 0;   // 0: not known
  double rate = 0;      // bytes a second, 0: not known yet
};

// One line of at most `width` columns: label, subject, bar, part, amounts, rate and time left. What has least to say
// goes first where there is no room: the bar, then the subject, then the rest from the right.
std::string render_bar(const ProgressState& state, size_t width);
// The same for a log.
std::string render_line(const ProgressState& state);

// How fast bytes go, smoothed over some seconds. Times come from the caller.
class RateMeter {
 public:
  using Clock = std::chrono::steady_clock;
  explicit RateMeter(Clock::time_point start) : at_(start) {}
  // `done` bytes at `now`. Returns bytes a second, 0 while nothing is known.
  double update(Clock::time_point now, uint64_t done);

 private:
  Clock::time_point at_;
  uint64_t done_ = 0;
  double rate_ = 0;
  bool known_ = false;
};

enum class ProgressMode { kOff, kLines, kBar };

// kBar on a terminal that can move its cursor, otherwise kLines.
ProgressMode progress_mode(int fd);

// Shows one transfer. Shows nothing before it has taken a moment. One thread; the destructor takes the bar away.
class Progress {
 public:
  Progress(std::string label, ProgressMode mode, int fd);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  void update(uint64_t done, uint64_t total, std::string_view subject = {});
  // Takes the bar away, so that something else can be written; the next update brings it back.
  void clear();

 private:
  using Clock = RateMeter::Clock;
  void put(std::string_view text) const;

  const ProgressMode mode_;
  const int fd_;
  ProgressState state_;
  RateMeter meter_;
  Clock::time_point next_;  // time to show something again
  bool shown_ = false;      // a bar is on the screen
};

}  // namespace ipcs::cli
