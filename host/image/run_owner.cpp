// A process is known by its id and the time of its start, since ids are used again.
#include "image/run_owner.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <sstream>

namespace ipcs::image {
namespace {

constexpr int kStartField = 22;  // of /proc/<pid>/stat, counted from 1
constexpr int kStateField = 3;
const std::string kUnknownStart = "0";

struct Process {
  std::string start;  // clock ticks since the boot
  bool over = false;  // it only waits for its parent to look
};

// Nothing where there is no such process, or none that can be seen.
std::optional<Process> process_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  Process process;
  std::string field;
  for (int i = kStateField; i <= kStartField && fields >> field; ++i) {
    if (i == kStateField) process.over = field == "Z" || field == "X";
    if (i == kStartField) process.start = field;
  }
  return process;
}

// What a process id means something in: this boot of this machine, and this namespace of processes.
std::string here() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  file >> boot;
  std::error_code error;
  const std::string space = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();  // "pid:[4026531836]"
  std::string number;
  for (const char c : space) {
    if (c >= '0' && c <= '9') number += c;
  }
  return fmt::format("image-{}-{}-", boot.substr(0, boot.find('-')), number);
}

}  // namespace

std::string new_run_owner() {
  const std::string pid = std::to_string(::getpid());
  const auto process = process_of(pid);
  return fmt::format("{}{}-{}-{:08x}", here(), pid, process ? process->start : kUnknownStart, std::random_device()());
}

bool run_has_ended(const std::string& owner) {
  const std::string prefix = here();
  if (prefix.find("--") != std::string::npos || !owner.starts_with(prefix)) return false;
  const std::string rest = owner.substr(prefix.size());
  const size_t pid_end = rest.find('-');
  if (pid_end == std::string::npos) return false;
  const std::string pid = rest.substr(0, pid_end);
  const std::string start = rest.substr(pid_end + 1, rest.find('-', pid_end + 1) - pid_end - 1);
  if (start == kUnknownStart) return false;
  int64_t number = 0;
  const auto parsed = std::from_chars(pid.data(), pid.data() + pid.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != pid.data() + pid.size() || number < 1 || number > INT32_MAX) return false;
  const auto process = process_of(pid);
  if (process) return process->over || (!process->start.empty() && process->start != start);
  // /proc may hide the processes of others.
  return ::kill(static_cast<pid_t>(number), 0) != 0 && errno == ESRCH;
}

}  // namespace ipcs::image
