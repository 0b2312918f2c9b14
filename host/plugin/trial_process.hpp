// A process of its own for code that may crash, hang or end it: started, listened to, and ended in time.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace ipcs::loader {

// Where the process reports, as lines of JSON. What it prints goes elsewhere, so that it can't pass for a report.
inline constexpr int kReportFd = 3;

// What to run. The child's standard input holds `input`: command lines are public and have a size limit.
struct Trial {
  std::string executable = "/proc/self/exe";
  std::vector<std::string> arguments;  // from argv[0] on; kReportFd is appended
  std::string input;
  std::chrono::milliseconds time_limit = std::chrono::seconds(10);
  std::function<bool()> cancelled;  // asked every few milliseconds; empty: never
};

// What became of it.
struct TrialOutcome {
  std::string words;          // what it printed, cut to some KiB
  std::string report;         // what it wrote to kReportFd, cut likewise
  std::optional<int> status;  // as waitpid() has it; nothing when it was ended by us
};

// Runs the trial, which is a process group of its own and ends with all that it started. Throws Error kInternal when no
// process can be started. Blocks the calling thread; may run on several threads at once.
//
// The process is made by posix_spawn, never by a bare fork: a threaded parent's locks and gRPC's state would come
// along.
TrialOutcome run_trial(const Trial& trial);

// The lines of a report. A broken one ends them, since a crash may cut it.
std::vector<nlohmann::json> report_lines(const std::string& report);

// How a trial without a result ended, for a message: "crashed with SIGSEGV while it was loaded (what it printed)",
// where `phase`, which may be empty, is "while it was loaded".
std::string ending(const TrialOutcome& outcome, std::chrono::milliseconds time_limit, const std::string& phase);

// The child's side. Has a crash be seen as one: by its signal, without a core file and without anybody's handler. The
// process ends with its parent.
void prepare_to_crash();
// Writes one line to `fd`, past all buffers: a crash right after it does not take it along.
void report_line(int fd, const nlohmann::json& line);
// A number from 0 in an argument, as a descriptor is; nothing for other text.
std::optional<int> to_number(const char* argument);

}  // namespace ipcs::loader
