// The parent's side of a probe: starts the process, reads what it says, and ends it in time.
#include "plugin/probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "ipcs/error.hpp"
#include "plugin/one_line.hpp"

extern char** environ;

namespace ipcs::loader {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kResultFd = 3;              // of the child
constexpr size_t kMaxResult = 64 * 1024;  // bytes kept of what it reports
constexpr size_t kMaxWords = 16 * 1024;   // bytes kept of what it prints

class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  int get() const noexcept { return fd_; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

void check(bool good, const char* what) {
  if (!good) throw Error(Code::kInternal, fmt::format("{}: {}", what, std::strerror(errno)));
}

// One end for us, one for the child.
struct Pipe {
  Fd ours, childs;
  Pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe");
    ours = Fd(ends[0]);
    childs = Fd(ends[1]);
  }
};

// A configuration has no size limit, so it must not depend on a pipe's buffer or on a child that reads.
Fd input_with(const std::string& text) {
  Fd file(::memfd_create("ipcs-plugin-config", MFD_CLOEXEC));
  check(file.get() >= 0, "memfd_create");
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(file.get(), text.data() + done, text.size() - done);
    check(n > 0 || errno == EINTR, "write to memfd");
    if (n > 0) done += static_cast<size_t>(n);
  }
  check(::lseek(file.get(), 0, SEEK_SET) == 0, "lseek");
  return file;
}

// Descriptors as the child sees them: the configuration at 0, one pipe for all that it prints, one for the result.
class SpawnPlan {
 public:
  SpawnPlan(const Fd& input, const Pipe& words, const Pipe& result) {
    ::posix_spawn_file_actions_init(&actions_);
    // Source descriptors lie above 3, or the second dup2 could overwrite the source of the third.
    input_ = Fd(::fcntl(input.get(), F_DUPFD_CLOEXEC, 10));
    words_ = Fd(::fcntl(words.childs.get(), F_DUPFD_CLOEXEC, 10));
    result_ = Fd(::fcntl(result.childs.get(), F_DUPFD_CLOEXEC, 10));
    check(input_.get() >= 0 && words_.get() >= 0 && result_.get() >= 0, "dup");
    ::posix_spawn_file_actions_adddup2(&actions_, input_.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, words_.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, words_.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, result_.get(), kResultFd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kResultFd + 1);

    ::posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);  // whatever it starts ends with it
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  pid_t start(const std::string& executable, const std::string& plugin) const {
    std::string words[] = {"ipcsd", "plugin-probe", plugin, std::to_string(kResultFd)};
    char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, executable.c_str(), &actions_, &attributes_, argv, environ);
    if (error != 0) throw Error(Code::kInternal, fmt::format("{}: {}", executable, std::strerror(error)));
    return pid;
  }

 private:
  Fd input_, words_, result_;
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// The process under way. Ends it, with what it started, when it goes out of scope.
class Child {
 public:
  explicit Child(pid_t pid) noexcept : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(-pid_, SIGKILL);
    if (!ended_) ::waitpid(pid_, &status_, 0);
  }
  bool ended() noexcept {
    // WNOWAIT keeps the process (and so its group's number) ours until the destructor has sent its signal.
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
  }
  // Only after ended().
  int status() noexcept {
    ::kill(-pid_, SIGKILL);
    if (!ended_) ended_ = ::waitpid(pid_, &status_, 0) == pid_;
    return status_;
  }

 private:
  pid_t pid_;
  bool ended_ = false;
  int status_ = 0;
};

// Moves what can be read to the end of `text`, keeps at most `limit` bytes. False at the end of the stream.
bool drain(const Fd& from, std::string& text, size_t limit) {
  std::array<char, 4096> chunk;
  const ssize_t n = ::read(from.get(), chunk.data(), chunk.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  const size_t room = limit - std::min(limit, text.size());
  text.append(chunk.data(), std::min(room, static_cast<size_t>(n)));
  return n > 0;
}

// What a child printed and reported, and how it ended; no status when its time was over.
struct Outcome {
  std::string words, result;
  std::optional<int> status;
};

Outcome watch(pid_t pid, Fd words, Fd result, std::chrono::milliseconds time_limit) {
  using std::chrono::milliseconds;
  Child child(pid);
  Outcome outcome;
  const auto deadline = Clock::now() + time_limit;
  for (;;) {
    const bool ended = child.ended();  // before reading: what it wrote is in the pipes then
    const bool late = Clock::now() >= deadline;
    // Short waits, since the end of a process that left a descriptor to another one closes no pipe.
    std::array<pollfd, 2> fds = {pollfd{words.get(), POLLIN, 0}, pollfd{result.get(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), ended || late ? 0 : 20);
    if (ready > 0) {
      if (fds[0].revents != 0 && !drain(words, outcome.words, kMaxWords)) words.reset();
      if (fds[1].revents != 0 && !drain(result, outcome.result, kMaxResult)) result.reset();
    }
    if (late && !ended) return outcome;
    if (ended && (ready <= 0 || late || (words.get() < 0 && result.get() < 0))) break;
    // Nothing left to poll: both pipes are closed but the process lives on for a moment.
    if (words.get() < 0 && result.get() < 0) ::poll(nullptr, 0, 1);
  }
  outcome.status = child.status();
  return outcome;
}

// The lines of the result; a broken one ends them, since a crash may cut it.
std::vector<nlohmann::json> lines_of(const std::string& result) {
  std::vector<nlohmann::json> lines;
  for (size_t at = 0; at < result.size();) {
    const size_t end = result.find('\n', at);
    if (end == std::string::npos) break;
    nlohmann::json line = nlohmann::json::parse(result.begin() + static_cast<ptrdiff_t>(at),
                                                result.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (!line.is_object()) break;
    lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? std::string("SIG") + name : fmt::format("signal {}", number);
}

// Throws unless the last line says that all went well.
void judge(const std::string& path, const Outcome& outcome, std::chrono::milliseconds time_limit) {
  std::string phase = "before it was loaded";
  for (const nlohmann::json& line : lines_of(outcome.result)) {
    if (line.contains("at")) phase = "while " + line.value("at", std::string("?"));
    if (!line.contains("ok")) continue;
    if (line.value("ok", false)) return;
    const int code = line.value("code", IPCS_UNKNOWN);
    const bool known = code > IPCS_OK && code <= IPCS_UNAUTHENTICATED;
    throw Error(known ? static_cast<Code>(code) : Code::kUnknown,
                path + ": " + one_line(line.value("message", std::string("is refused")), 1000));
  }
  if (!outcome.status)
    throw Error(Code::kDeadlineExceeded,
                fmt::format("{}: did not come to an end within {} ms {}", path, time_limit.count(), phase));
  const std::string words = outcome.words.empty() ? "" : " (" + one_line(outcome.words) + ")";
  if (WIFSIGNALED(*outcome.status))
    throw Error(Code::kFailedPrecondition,
                fmt::format("{}: crashed with {} {}{}", path, signal_name(WTERMSIG(*outcome.status)), phase, words));
  throw Error(Code::kFailedPrecondition, fmt::format("{}: ended the process with status {} {}{}", path,
                                                     WEXITSTATUS(*outcome.status), phase, words));
}

}  // namespace

void probe(const std::string& path, const std::string& config_json, const ProbeOptions& options) {
  Outcome outcome;
  try {
    const Fd input = input_with(config_json);
    Pipe words, result;
    const pid_t pid = SpawnPlan(input, words, result).start(options.executable, path);
    words.childs.reset();
    result.childs.reset();
    outcome = watch(pid, std::move(words.ours), std::move(result.ours), options.time_limit);
  } catch (const Error& e) {
    throw Error(Code::kInternal, fmt::format("{}: its probe cannot be started: {}", path, e.what()));
  }
  judge(path, outcome, options.time_limit);
}

}  // namespace ipcs::loader
