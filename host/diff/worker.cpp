// posix_spawn, pipes and the end of a process. Never a bare fork: a threaded parent's locks would come along.
#include "diff/worker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

extern char** environ;

namespace ipcs::diff {
namespace {

constexpr int kPipeBytes = 1 << 20;     // how far reading may be ahead of decompressing
constexpr size_t kMaxAnswer = 64 * 1024;

void check(bool good, const char* what) {
  if (!good) throw Error(Code::kInternal, fmt::format("{}: {}", what, std::strerror(errno)));
}

struct Pipe {
  Fd read, write;
  Pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe");
    read = Fd(ends[0]);
    write = Fd(ends[1]);
  }
};

// A job may be longer than a pipe holds, and than a command line; mounts are nobody else's business either.
Fd memory_with(const std::string& text) {
  Fd file(::memfd_create("ipcs-unpack-job", MFD_CLOEXEC));
  check(static_cast<bool>(file), "memfd_create");
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(file.get(), text.data() + done, text.size() - done);
    check(count > 0 || errno == EINTR, "memfd");
    if (count > 0) done += static_cast<size_t>(count);
  }
  check(::lseek(file.get(), 0, SEEK_SET) == 0, "memfd");
  return file;
}

// Above those that the child's places have, so that none is overwritten before it is used.
Fd raised(const Fd& fd) {
  Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 10));
  check(static_cast<bool>(copy), "dup");
  return copy;
}

pid_t spawn(const std::string& program, const Fd& bytes, const Fd& job, const Fd& answer) {
  const Fd in = raised(bytes), what = raised(job), out = raised(answer);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, what.get(), kJobFd);
  ::posix_spawn_file_actions_adddup2(&actions, out.get(), kAnswerFd);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kAnswerFd + 1);
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  // A session of its own: where the kernel shares out the processors by sessions, ipcsd's part is not used up by layers.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  std::string name = "ipcs-unpack";
  std::array<char*, 2> arguments = {name.data(), nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) throw Error(Code::kInternal, fmt::format("{} can't be started: {}", program, std::strerror(error)));
  return pid;
}

}  // namespace

Worker::Worker(const std::string& program, const Job& job) {
  Pipe bytes, answer;
  ::fcntl(bytes.write.get(), F_SETPIPE_SZ, kPipeBytes);  // may be refused; then it is a smaller one
  check(::fcntl(bytes.write.get(), F_SETFL, O_NONBLOCK) == 0, "pipe");
  pid_ = spawn(program, bytes.read, memory_with(to_json(job)), answer.write);
  bytes_ = std::move(bytes.write);
  answer_ = std::move(answer.read);
}

Worker::~Worker() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

int Worker::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

void Worker::wait_for(const Call& call, int fd, short events) const {
  const int cancelled = call.abi()->cancel_fd(call.abi());
  std::array<pollfd, 2> fds = {pollfd{fd, events, 0}, pollfd{cancelled, POLLIN, 0}};
  for (;;) {
    if (call.cancelled()) throw Error(Code::kCancelled, "the call was cancelled");
    if (::poll(fds.data(), fds.size(), 1000) > 0 && fds[0].revents != 0) return;
  }
}

bool Worker::feed(const Call& call, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(bytes_.get(), bytes.data(), bytes.size());
    if (count > 0) {
      bytes = bytes.subspan(static_cast<size_t>(count));
    } else if (errno == EPIPE) {
      return false;
    } else if (errno == EAGAIN) {
      wait_for(call, bytes_.get(), POLLOUT);
    } else {
      check(errno == EINTR, "pipe to the worker");
    }
  }
  return true;
}

Answer Worker::finish(const Call& call) {
  bytes_.reset();
  std::string text;
  for (;;) {
    wait_for(call, answer_.get(), POLLIN);
    std::array<char, 4096> piece;
    const ssize_t count = ::read(answer_.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0, "pipe from the worker");
    if (count == 0) break;
    if (text.size() < kMaxAnswer) text.append(piece.data(), static_cast<size_t>(count));
  }
  // It may say nothing any more and live on.
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));  // the C library's header is no C++
  check(static_cast<bool>(process), "pidfd_open");
  wait_for(call, process.get(), POLLIN);
  const int status = reap();
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    throw Error(Code::kInternal, fmt::format("the worker process was ended by SIG{}", name == nullptr ? "?" : name));
  }
  if (status != 0 || text.empty())
    throw Error(Code::kInternal, fmt::format("the worker process ended with status {}", WEXITSTATUS(status)));
  return answer_from_json(text);
}

}  // namespace ipcs::diff
