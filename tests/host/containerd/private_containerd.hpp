// Debian's containerd with directories and a socket of its own, as long as a test lives.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "host/oci/temporary.hpp"

extern char** environ;

namespace ipcs::ctrd::test {

class PrivateContainerd {
 public:
  PrivateContainerd() {
    const std::string root = directory.path;
    socket = root + "/containerd.sock";
    oci::test::write(
        directory.path / "config.toml",
        "version = 2\nroot = \"" + root + "/root\"\nstate = \"" + root + "/state\"\n" +
            "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", "
            "\"io.containerd.internal.v1.restart\", "
            "\"io.containerd.tracing.processor.v1.otlp\", \"io.containerd.snapshotter.v1.btrfs\", "
            "\"io.containerd.snapshotter.v1.zfs\", "
            "\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.devmapper\"]\n[grpc]\naddress = \"" +
            socket + "\"\n");
    start();
  }
  ~PrivateContainerd() { stop(); }
  PrivateContainerd(const PrivateContainerd&) = delete;
  PrivateContainerd& operator=(const PrivateContainerd&) = delete;

  void start() {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string log = directory.path / "log", config = directory.path / "config.toml";
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const std::array<const char*, 4> arguments{"containerd", "--config", config.c_str(), nullptr};
    const int error =
        posix_spawnp(&pid_, arguments[0], &actions, nullptr, const_cast<char**>(arguments.data()), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::runtime_error("containerd can't be started; tests/install.sh installs it");
    for (int i = 0; i < 400; ++i) {
      if (answers()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    stop();
    throw std::runtime_error("containerd does not listen: " + oci::test::contents(directory.path / "log"));
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  oci::test::Temporary directory;
  std::string socket;

 private:
  bool answers() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return connected;
  }

  pid_t pid_ = -1;
};

}  // namespace ipcs::ctrd::test
