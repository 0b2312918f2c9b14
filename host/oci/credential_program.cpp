// Running docker-credential-NAME get: the server's name on its stdin, JSON on its stdout.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "ipcs/error.hpp"
#include "oci/credentials.hpp"
#include "oci/text.hpp"

extern char** environ;

namespace ipcs::oci {
namespace {

constexpr size_t kMaxAnswer = 256 << 10;
constexpr std::chrono::seconds kPatience{30};

class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  int get() const noexcept { return fd_; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

std::pair<Fd, Fd> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(Code::kResourceExhausted, std::string("pipe: ") + std::strerror(errno));
  return {Fd(ends[0]), Fd(ends[1])};
}

// A running program, killed when nobody wants its answer any more.
class Child {
 public:
  Child(const std::string& program, int in, int out) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const std::array<const char*, 3> arguments{program.c_str(), "get", nullptr};
    const int error =
        ::posix_spawnp(&pid_, program.c_str(), &actions, &attributes, const_cast<char**>(arguments.data()), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw Error(Code::kFailedPrecondition, program + ": " + std::strerror(error));
  }
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Whether it has ended, and how.
  bool ended(int& status) {
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = -1;
    return true;
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace

Credentials ask_credential_program(const std::string& name, const std::string& host, const Call& call) {
  if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
    throw Error(Code::kInvalidArgument, "\"" + one_line(name, 80) + "\" is not the name of a credential program");
  }
  const std::string program = "docker-credential-" + name;
  const Call limited{std::min(call.deadline, Call::Clock::now() + kPatience), call.stop};
  auto [question, question_in] = make_pipe();
  auto [answer, answer_in] = make_pipe();
  // A name fits into the pipe at once, so that this never waits nor meets a closed pipe.
  const std::string server = server_name(host);
  if (::write(question_in.get(), server.data(), server.size()) != static_cast<ssize_t>(server.size())) {
    throw Error(Code::kInternal, program + ": pipe");
  }
  question_in.reset();
  Child child(program, question.get(), answer_in.get());
  answer_in.reset();

  std::string text;
  std::array<char, 4096> buffer;
  const auto check = [&] {
    if (call.over()) call.check();
    if (limited.over()) throw Error(Code::kFailedPrecondition, program + ": no answer in 30 s");
  };
  for (;;) {
    check();
    pollfd readable{answer.get(), POLLIN, 0};
    if (::poll(&readable, 1, 50) <= 0) continue;
    const ssize_t got = ::read(answer.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > kMaxAnswer) throw Error(Code::kFailedPrecondition, program + ": its answer has no end");
  }
  int status = 0;
  while (!child.ended(status)) {
    check();
    ::usleep(5'000);
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    // By the programs' protocol this is how "there are none" is said.
    if (text.find("credentials not found") != std::string::npos) return {};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    throw Error(Code::kFailedPrecondition, program + ": " + (text.empty() ? "failed" : one_line(text)));
  }
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("Secret") || !parsed["Secret"].is_string() ||
      (parsed.contains("Username") && !parsed["Username"].is_string())) {
    throw Error(Code::kFailedPrecondition, program + ": its answer is not as agreed");
  }
  const std::string user = parsed.value("Username", "");
  const std::string secret = parsed["Secret"].get<std::string>();
  Credentials credentials;
  if (user == "<token>") {
    credentials.identity_token = secret;
  } else {
    credentials.username = user;
    credentials.password = secret;
  }
  return credentials;
}

}  // namespace ipcs::oci
