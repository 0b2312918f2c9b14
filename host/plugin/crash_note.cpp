// Turns a crash during a dangerous stretch of code into one line on standard error and exit status 1.
#include "plugin/crash_note.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace ipcs::loader {
namespace {

// A handler can only reach memory of the process itself: no allocation, no locks.
std::mutex turn;              // held by the note that owns the two below
std::array<char, 1024> note;  // text in front of the signal's name
size_t note_size = 0;

extern "C" void report_crash(int number) {
  const char* name = ::sigabbrev_np(number);
  ssize_t ignored = ::write(STDERR_FILENO, note.data(), note_size);
  if (name != nullptr) ignored = ::write(STDERR_FILENO, name, std::strlen(name));
  ignored = ::write(STDERR_FILENO, "\n", 1);
  (void)ignored;  // there is nobody left to tell
  ::_exit(1);
}

}  // namespace

CrashNote::CrashNote(const std::string& what) : turn_(turn) {
  const std::string text = what + " crashed with SIG";
  note_size = std::min(text.size(), note.size());
  std::memcpy(note.data(), text.data(), note_size);
  struct sigaction action {};
  action.sa_handler = report_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &previous_[i]);
}

CrashNote::~CrashNote() {
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &previous_[i], nullptr);
}

}  // namespace ipcs::loader
