// The parent's side of a probe: what the process reports becomes a verdict.
#include "plugin/probe.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ipcs/error.hpp"
#include "plugin/one_line.hpp"
#include "plugin/trial_process.hpp"

namespace ipcs::loader {
namespace {

// Throws unless the last line says that all went well.
void judge(const std::string& path, const TrialOutcome& outcome, std::chrono::milliseconds time_limit) {
  std::string phase = "before it was loaded";
  for (const nlohmann::json& line : report_lines(outcome.report)) {
    if (line.contains("at")) phase = "while " + line.value("at", std::string("?"));
    if (!line.contains("ok")) continue;
    if (line.value("ok", false)) return;
    const int code = line.value("code", IPCS_UNKNOWN);
    const bool known = code > IPCS_OK && code <= IPCS_UNAUTHENTICATED;
    throw Error(known ? static_cast<Code>(code) : Code::kUnknown,
                path + ": " + one_line(line.value("message", std::string("is refused")), 1000));
  }
  throw Error(outcome.status ? Code::kFailedPrecondition : Code::kDeadlineExceeded,
              path + ": " + ending(outcome, time_limit, phase));
}

}  // namespace

void probe(const std::string& path, const std::string& config_json, const ProbeOptions& options) {
  TrialOutcome outcome;
  try {
    outcome = run_trial({.executable = options.executable,
                         .arguments = {"ipcsd", "plugin-probe", path},
                         .input = config_json,
                         .time_limit = options.time_limit,
                         .cancelled = {}});
  } catch (const Error& e) {
    throw Error(Code::kInternal, fmt::format("{}: its probe cannot be started: {}", path, e.what()));
  }
  judge(path, outcome, options.time_limit);
}

}  // namespace ipcs::loader
