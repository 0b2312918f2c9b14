// A Kubo of the test's own: repository in a temporary directory, free ports on loopback, ended by its process id.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "api/loaded_plugin.hpp"

namespace ipcs::ipfs_http::test {

namespace fs = std::filesystem;
using ipcs::test::TemporaryDirectory;

// $KUBO, or the one that tests/install.sh built. The test fails when there is none.
inline std::string kubo_program() {
  if (const char* program = std::getenv("KUBO"); program != nullptr) return program;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path base = cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "") / ".cache";
  return (base / "ipcs/peers/kubo-0.43.1/ipfs").string();
}

// Started by its constructor, and again by start() after kill().
class RunningKubo {
 public:
  RunningKubo() {
    INFO("Kubo: " << kubo_program() << "; tests/install.sh builds it");
    REQUIRE(fs::exists(kubo_program()));
    REQUIRE(wait_for(launch({"init", "--profile=test"})) == 0);
    // The port stays the same over restarts.
    start();
    const std::string first = address();
    kill();
    REQUIRE(wait_for(launch({"config", "Addresses.API", first})) == 0);
    start();
  }
  RunningKubo(const RunningKubo&) = delete;
  RunningKubo& operator=(const RunningKubo&) = delete;
  ~RunningKubo() { kill(); }

  void start() {
    if (pid_ > 0) return;
    fs::remove(directory_.path() / "repo/api");
    pid_ = launch({"daemon"});
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!answers() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    REQUIRE(answers());
  }
  // SIGKILL.
  void kill() { end(SIGKILL); }
  void stop_for_a_while() const { ::kill(pid_, SIGSTOP); }
  void go_on() const { ::kill(pid_, SIGCONT); }

  // As a multiaddr.
  std::string address() const {
    std::ifstream file(directory_.path() / "repo/api");
    std::string line;
    std::getline(file, line);
    return line;
  }
  // Runs `ipfs …` against it.
  int run(std::vector<std::string> arguments) const { return wait_for(launch(std::move(arguments))); }
  fs::path repository() const { return directory_.path() / "repo"; }

 private:
  pid_t launch(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), kubo_program());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> environment = {"IPFS_PATH=" + repository().string(), "IPFS_TELEMETRY=off",
                                            "HOME=" + directory_.path().string(), "PATH=/usr/bin:/bin", "GOMAXPROCS=2"};
    std::vector<char*> envp;
    for (std::string& variable : environment) envp.push_back(variable.data());
    envp.push_back(nullptr);
    const std::string log = (directory_.path() / "log").string();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
    return pid;
  }
  static int wait_for(pid_t pid) {
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    wait_for(pid_);
    pid_ = -1;
  }
  // The file names the port as soon as it is bound, shortly before answers come.
  bool answers() const { return !address().empty(); }

  TemporaryDirectory directory_;
  pid_t pid_ = -1;
};

// The one that all cases of a test program share; ended with the program.
inline RunningKubo& shared_kubo() {
  static RunningKubo kubo;
  return kubo;
}

}  // namespace ipcs::ipfs_http::test
