// Debian's docker-registry on a free port of loopback, as long as a test lives.
#pragma once

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <stdexcept>
#include <string>
#include <thread>

#include "host/oci/temporary.hpp"

extern char** environ;

namespace ipcs::oci::test {

class DockerRegistry {
 public:
  // `more`: further lines of its configuration.
  explicit DockerRegistry(const std::string& more = "") {
    {
      Poco::Net::ServerSocket probe(Poco::Net::SocketAddress("127.0.0.1", 0));
      host = "127.0.0.1:" + std::to_string(probe.address().port());
    }
    write(directory.path / "config.yml",
          "version: 0.1\nlog: {level: info}\nhttp: {addr: '" + host + "'" + (more.empty() ? "" : ", " + more) +
              "}\nstorage: {filesystem: {rootdirectory: '" + (directory.path / "data").string() + "'}}\n");
    start();
  }
  ~DockerRegistry() { stop(); }
  DockerRegistry(const DockerRegistry&) = delete;
  DockerRegistry& operator=(const DockerRegistry&) = delete;

  // What it wrote about requests.
  std::string log() const { return contents(directory.path / "log"); }

  std::string host;
  Temporary directory;

 private:
  void start() {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log_file = directory.path / "log", config = directory.path / "config.yml";
    posix_spawn_file_actions_addopen(&actions, 1, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const std::array<const char*, 4> arguments{"docker-registry", "serve", config.c_str(), nullptr};
    const int error =
        posix_spawnp(&pid_, arguments[0], &actions, nullptr, const_cast<char**>(arguments.data()), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("docker-registry can't be started; tests/install.sh installs it");
    for (int i = 0; i < 200; ++i) {
      try {
        Poco::Net::StreamSocket(Poco::Net::SocketAddress(host));
        return;
      } catch (const Poco::Exception&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
    stop();
    throw std::runtime_error("docker-registry does not listen: " + log());
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  pid_t pid_ = -1;
};

}  // namespace ipcs::oci::test
