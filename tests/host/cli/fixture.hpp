// A daemon's control socket in front of a backend in memory, and the built ipcsctl run against it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "host/content/world.hpp"
#include "service/admin_service.hpp"
#include "service/content_service.hpp"
#include "service/server.hpp"

extern char** environ;

namespace ipcs::test {

using Json = nlohmann::ordered_json;
using namespace std::chrono_literals;

inline std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Waits up to ten seconds for `condition`.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

// What a finished run left behind.
struct Result {
  int code = -1;   // exit code, -1: it did not exit
  int signal = 0;  // that ended it
  std::string out, err;
  Json json() const { return Json::parse(out); }
};

// A run of ipcsctl that is under way.
class Run {
 public:
  // `in` and `err` are descriptors for standard input and error; -1: the file /dev/null, and one that wait() reads.
  Run(const TempDir& dir, std::vector<std::string> args, int in = -1, int err = -1,
      const std::vector<std::string>& environment = {})
      : out_path_(dir / "out"), err_path_(err < 0 ? dir / "err" : std::string()) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (in < 0) ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (in >= 0) ::posix_spawn_file_actions_adddup2(&actions, in, 0);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    ::posix_spawn_file_actions_addopen(&actions, 1, out_path_.c_str(), flags, 0600);
    if (err < 0) ::posix_spawn_file_actions_addopen(&actions, 2, err_path_.c_str(), flags, 0600);
    if (err >= 0) ::posix_spawn_file_actions_adddup2(&actions, err, 2);
    args.insert(args.begin(), IPCS_BIN_DIR "/ipcsctl");
    std::vector<char*> argv, envp;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables(environment);
    for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
    for (std::string& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);
    const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("ipcsctl was not built: " + args[0]);
  }
  ~Run() {
    if (pid_ > 0) wait();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void kill(int signal) const { ::kill(pid_, signal); }

  Result wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    Result result;
    if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
    result.out = file_text(out_path_);
    if (!err_path_.empty()) result.err = file_text(err_path_);
    return result;
  }

 private:
  const std::string out_path_, err_path_;
  pid_t pid_ = 0;
};

// What a run that succeeds writes to a terminal of this kind, which is its standard error.
inline std::string seen_on_terminal(const TempDir& dir, std::vector<std::string> args, const std::string& term) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE((::grantpt(master) == 0 && ::unlockpt(master) == 0));
  const int slave = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(slave >= 0);
  Run run(dir, std::move(args), -1, slave, {"TERM=" + term});
  ::close(slave);
  std::string seen;
  char buffer[4096];
  for (ssize_t count; (count = ::read(master, buffer, sizeof buffer)) > 0;)
    seen.append(buffer, static_cast<size_t>(count));
  CHECK(run.wait().code == 0);
  ::close(master);
  return seen;
}

// A world that a test changed before anybody looks at it.
struct PreparedWorld : World {
  explicit PreparedWorld(const std::function<void(World&)>& prepare) {
    if (prepare) prepare(*this);
  }
};

// A daemon with the clients a and b.
struct Control {
  PreparedWorld world;
  diff::UnpackTotals unpacked;
  service::ContentService content{*world.content, world.op};
  service::AdminService admin{*world.content, facts(unpacked), log::Log::none()};
  const std::string socket = world.dir / "control.sock";
  service::Lanes lanes;
  std::unique_ptr<service::Server> server =
      service::Server::start({socket, {}, {}, 0600}, {content.methods(), {&admin}}, lanes, log::Log::none());

  explicit Control(const std::function<void(World&)>& prepare = {}) : world(prepare) {}
  ~Control() { server.reset(); }

  static service::AdminService::Facts facts(const diff::UnpackTotals& unpacked) {
    service::AdminService::Facts facts;
    facts.recovery = {7, 700, 1, 2, 3, 4, {}};
    facts.plugins = {{"memory", "1", "for tests", "g++", 1, 1, "/plugins/memory.so", "ok", ""},
                     {"former", "1", "for tests", "g++", 1, 1, "/plugins/former.so", "ok", ""},
                     {"broken", "", "", "", 0, 0, "/plugins/broken.so", "refused", "not an ELF file"}};
    facts.selected_plugin = "/plugins/memory.so";
    facts.previous_plugin = "/plugins/former.so";
    facts.clients = {{"a", "/run/a.sock"}, {"b", "/run/b.sock"}};
    facts.diff_address = "/run/diff.sock";
    facts.unpacked = &unpacked;
    return facts;
  }

  std::vector<std::string> addressed(std::vector<std::string> args) const {
    args.insert(args.begin(), {"-a", socket});
    return args;
  }
  Result ctl(std::vector<std::string> args, int in = -1) {
    return Run(world.dir, addressed(std::move(args)), in).wait();
  }
  // With the file's bytes on standard input.
  Result ctl_with(std::string_view input, std::vector<std::string> args) {
    const std::string path = world.dir / "in";
    write_file(path, input);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    Result result = ctl(std::move(args), fd);
    ::close(fd);
    return result;
  }
};

// Succeeded with `out` on standard output and nothing on standard error.
inline void check_out(const Result& result, const std::string& out) {
  CHECK(result.out == out);
  CHECK(result.err == "");
  CHECK(result.code == 0);
}

// Failed with one line that holds `text`.
inline void check_failed(const Result& result, int code, const std::string& text) {
  CHECK_THAT(result.err, Catch::StartsWith("ipcsctl: ") && Catch::Contains(text) && Catch::EndsWith("\n"));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(result.code == code);
}

}  // namespace ipcs::test
