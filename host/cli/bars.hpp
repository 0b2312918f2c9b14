// Several transfers at once on standard error: a bar for each on a terminal, a line for all of them elsewhere.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "cli/progress.hpp"

namespace ipcs::cli {

// Any thread. The destructor takes the bars away.
class Bars {
 public:
  Bars(std::string label, ProgressMode mode, int fd);
  ~Bars() { clear(); }
  Bars(const Bars&) = delete;
  Bars& operator=(const Bars&) = delete;

  // `done` of `total` bytes of `subject` are there, and come from `origin`. A subject that is complete has no bar any
  // more.
  void update(const std::string& subject, uint64_t done, uint64_t total, const std::string& origin);
  // From now on the work has another name; subjects begin anew.
  void begin(std::string label);
  void clear();

 private:
  using Clock = RateMeter::Clock;
  struct Transfer {
    ProgressState state;
    RateMeter meter{Clock::now()};
  };

  void paint();
  void erase(std::string& out);
  ProgressState sum() const;
  void put(const std::string& text) const;

  std::string label_;
  const ProgressMode mode_;
  const int fd_;
  std::mutex mutex_;
  std::map<std::string, Transfer> transfers_;
  RateMeter meter_{Clock::now()};
  Clock::time_point next_;
  size_t lines_ = 0;  // on the screen
};

}  // namespace ipcs::cli
