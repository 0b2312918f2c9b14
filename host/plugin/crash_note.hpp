// Turns a crash during a dangerous stretch of code into one line on standard error and exit status 1.
#pragma once

#include <array>
#include <csignal>
#include <mutex>
#include <string>

namespace ipcs::loader {

// While it lives, SIGABRT, SIGSEGV, SIGBUS, SIGFPE and SIGILL on any thread print `what` and the signal's name and end
// the process with status 1; afterwards the previous handlers are back. Signal handlers belong to the process, so there
// is one note at a time: a second constructor waits for the first note to go.
class CrashNote {
 public:
  explicit CrashNote(const std::string& what);
  CrashNote(const CrashNote&) = delete;
  CrashNote& operator=(const CrashNote&) = delete;
  ~CrashNote();

 private:
  static constexpr std::array kSignals = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  std::unique_lock<std::mutex> turn_;
  std::array<struct sigaction, kSignals.size()> previous_;
};

}  // namespace ipcs::loader
