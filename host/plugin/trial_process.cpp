// The parent's side of a trial, and what the child's side needs to be heard.
#include "plugin/trial_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "ipcs/error.hpp"
#include "plugin/one_line.hpp"

extern char** environ;

namespace ipcs::loader {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxReport = 64 * 1024;  // bytes kept of what it reports
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
  Fd file(::memfd_create("ipcs-trial-input", MFD_CLOEXEC));
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
  SpawnPlan(const Fd& input, const Pipe& words, const Pipe& report) {
    ::posix_spawn_file_actions_init(&actions_);
    // Source descriptors lie above 3, or the second dup2 could overwrite the source of the third.
    input_ = Fd(::fcntl(input.get(), F_DUPFD_CLOEXEC, 10));
    words_ = Fd(::fcntl(words.childs.get(), F_DUPFD_CLOEXEC, 10));
    report_ = Fd(::fcntl(report.childs.get(), F_DUPFD_CLOEXEC, 10));
    check(input_.get() >= 0 && words_.get() >= 0 && report_.get() >= 0, "dup");
    ::posix_spawn_file_actions_adddup2(&actions_, input_.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, words_.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, words_.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, report_.get(), kReportFd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, kReportFd + 1);

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

  pid_t start(const std::string& executable, std::vector<std::string> arguments) const {
    arguments.push_back(std::to_string(kReportFd));
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, executable.c_str(), &actions_, &attributes_, argv.data(), environ);
    if (error != 0) throw Error(Code::kInternal, fmt::format("{}: {}", executable, std::strerror(error)));
    return pid;
  }

 private:
  Fd input_, words_, report_;
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

TrialOutcome watch(pid_t pid, Fd words, Fd report, const Trial& trial) {
  Child child(pid);
  TrialOutcome outcome;
  const auto deadline = Clock::now() + trial.time_limit;
  for (;;) {
    const bool ended = child.ended();  // before reading: what it wrote is in the pipes then
    const bool late = Clock::now() >= deadline || (trial.cancelled && trial.cancelled());
    // Short waits, since the end of a process that left a descriptor to another one closes no pipe.
    std::array<pollfd, 2> fds = {pollfd{words.get(), POLLIN, 0}, pollfd{report.get(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), ended || late ? 0 : 20);
    if (ready > 0) {
      if (fds[0].revents != 0 && !drain(words, outcome.words, kMaxWords)) words.reset();
      if (fds[1].revents != 0 && !drain(report, outcome.report, kMaxReport)) report.reset();
    }
    if (late && !ended) return outcome;
    if (ended && (ready <= 0 || late || (words.get() < 0 && report.get() < 0))) break;
    // Nothing left to poll: both pipes are closed but the process lives on for a moment.
    if (words.get() < 0 && report.get() < 0) ::poll(nullptr, 0, 1);
  }
  outcome.status = child.status();
  return outcome;
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? std::string("SIG") + name : fmt::format("signal {}", number);
}

}  // namespace

TrialOutcome run_trial(const Trial& trial) {
  const Fd input = input_with(trial.input);
  Pipe words, report;
  const pid_t pid = SpawnPlan(input, words, report).start(trial.executable, trial.arguments);
  words.childs.reset();
  report.childs.reset();
  return watch(pid, std::move(words.ours), std::move(report.ours), trial);
}

std::vector<nlohmann::json> report_lines(const std::string& report) {
  std::vector<nlohmann::json> lines;
  for (size_t at = 0; at < report.size();) {
    const size_t end = report.find('\n', at);
    if (end == std::string::npos) break;
    nlohmann::json line = nlohmann::json::parse(report.begin() + static_cast<ptrdiff_t>(at),
                                                report.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (!line.is_object()) break;
    lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

std::string ending(const TrialOutcome& outcome, std::chrono::milliseconds time_limit, const std::string& phase) {
  const std::string when = phase.empty() ? "" : " " + phase;
  if (!outcome.status) return fmt::format("did not come to an end within {} ms{}", time_limit.count(), when);
  const std::string words = outcome.words.empty() ? "" : " (" + one_line(outcome.words) + ")";
  if (WIFSIGNALED(*outcome.status))
    return fmt::format("crashed with {}{}{}", signal_name(WTERMSIG(*outcome.status)), when, words);
  return fmt::format("ended the process with status {}{}{}", WEXITSTATUS(*outcome.status), when, words);
}

void prepare_to_crash() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
}

void report_line(int fd, const nlohmann::json& what) {
  const std::string line = what.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd, line.data() + done, line.size() - done);
    if (n < 0 && errno != EINTR) return;  // nobody listens any more
    if (n > 0) done += static_cast<size_t>(n);
  }
}

std::optional<int> to_number(const char* argument) {
  int number = -1;
  const char* end = argument + std::strlen(argument);
  const auto [stop, error] = std::from_chars(argument, end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  return number;
}

}  // namespace ipcs::loader
