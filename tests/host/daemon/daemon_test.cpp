// What the daemon does around its rooms: the service manager's socket, signals, freed memory, and plugins' tables.
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "daemon/backend_config.hpp"
#include "daemon/memory.hpp"
#include "daemon/notify.hpp"
#include "daemon/signals.hpp"
#include "ipcs/error.hpp"

namespace ipcs::daemon {
namespace {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "ipcs-daemon-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// A service manager that hears what is sent to `name`, which $NOTIFY_SOCKET is as long as the object lives.
class ServiceManager {
 public:
  explicit ServiceManager(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(name.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = 0;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ServiceManager(const ServiceManager&) = delete;
  ~ServiceManager() { ::unsetenv("NOTIFY_SOCKET"), ::close(fd_); }

  std::string heard() const {
    std::array<char, 256> text{};
    const ssize_t size = ::recv(fd_, text.data(), text.size(), 0);
    return size < 0 ? "" : std::string(text.data(), static_cast<size_t>(size));
  }

 private:
  int fd_;
};

TEST_CASE("the service manager hears each state as one message, also by an abstract name") {
  const TempDir dir;
  for (const std::string& name : {dir / "notify", "@ipcs-daemon-test-" + std::to_string(::getpid())}) {
    CAPTURE(name);
    const ServiceManager manager(name);
    CHECK(notify("READY=1\nSTATUS=serving"));
    CHECK(notify("STOPPING=1"));
    CHECK(manager.heard() == "READY=1\nSTATUS=serving");
    CHECK(manager.heard() == "STOPPING=1");
    CHECK(manager.heard().empty());
  }
}

TEST_CASE("without a service manager nothing is sent") {
  const TempDir dir;
  ::unsetenv("NOTIFY_SOCKET");
  CHECK_FALSE(notify("READY=1"));
  for (const std::string& name : {std::string(), std::string("relative"), std::string("vsock:2:1"), dir / "nobody",
                                  dir / std::string(200, 'a')}) {
    CAPTURE(name);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    CHECK_FALSE(notify("READY=1"));
  }
  ::unsetenv("NOTIFY_SOCKET");
}

// How a process ends that runs `body`.
template <class Body>
int status_of(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    body();
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

TEST_CASE("a signal ends a start at once, a hang-up does not") {
  for (const int signal : {SIGTERM, SIGINT}) {
    const int status = status_of([signal] {
      ::alarm(60);
      block_signals();
      const Signals signals;
      ::kill(::getpid(), SIGHUP);
      ::kill(::getpid(), SIGPIPE);
      ::usleep(50'000);
      ::kill(::getpid(), signal);
      for (;;) ::pause();
    });
    REQUIRE(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
  }
}

TEST_CASE("once held, a signal is for the one who waits, also when it came before") {
  const int status = status_of([] {
    ::alarm(60);
    block_signals();
    {
      Signals signals;
      signals.hold();
      int looks = 0;
      const int signal = signals.wait_for_end(std::chrono::seconds(0), [&] {
        // A hang-up is passed over; the end comes between two looks.
        if (++looks == 1) ::kill(::getpid(), SIGHUP);
        if (looks == 1000) ::kill(::getpid(), SIGINT);
      });
      if (signal != SIGINT || looks < 1000) ::_exit(1);
    }
    Signals signals;
    signals.hold();
    ::kill(::getpid(), SIGTERM);
    ::_exit(signals.wait_for_end(std::chrono::seconds(60), [] { ::_exit(2); }) == SIGTERM ? 0 : 3);
  });
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // these have an allocator of their own
size_t resident() {
  size_t total = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> total >> pages;
  return pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_CASE("freed memory goes back to the system when there is much of it") {
  constexpr size_t kPiece = 16 << 10, kMuch = 128 << 20, kLittle = 16 << 20;
  // Pieces of the heap; the one that stays lies at its end, so that the allocator itself gives nothing back.
  const auto freed = [](size_t bytes) {
    std::vector<std::unique_ptr<char[]>> pieces(bytes / kPiece);
    for (auto& piece : pieces) {
      piece = std::make_unique<char[]>(kPiece);
      std::memset(piece.get(), 1, kPiece);
    }
    return std::make_unique<char[]>(kPiece);
  };
  const auto end = freed(kLittle);
  const size_t kept = resident();
  release_free_memory();
  CHECK(resident() + kLittle / 2 > kept);  // for the next one who needs it
  const auto last = freed(kMuch);
  const size_t before = resident();
  release_free_memory();
  CHECK(resident() + kMuch / 2 < before);
}
#endif

struct Checked {
  std::string refused;  // what was thrown
  std::vector<std::string> warnings;
};

// check_plugins() on a file with this text and what its settings are.
Checked check(const TempDir& dir, const std::string& text) {
  config::Config config;
  config.file = dir / "c.toml";
  std::ofstream(config.file) << "version = 1\n" << text;
  const config::Settings settings = config::load(config.file);
  config.root = dir / "root";
  config.plugin_dirs = {IPCS_PLUGIN_DIR};
  config.backend = settings.backend.value_or("local");
  config.previous = settings.previous.value_or("");
  config.plugins = settings.plugins;
  Checked checked;
  try {
    check_plugins(config, [&](const std::string& warning) { checked.warnings.push_back(warning); });
  } catch (const Error& e) {
    CHECK(e.code() == Code::kInvalidArgument);
    checked.refused = e.what();
    if (checked.refused.starts_with(config.file)) checked.refused.erase(0, config.file.size());
  }
  CHECK_FALSE(std::filesystem::exists(config.root));
  return checked;
}

TEST_CASE("what plugins do not accept is told with its line") {
  using Catch::Matchers::Contains;
  using Catch::Matchers::StartsWith;
  const TempDir dir;
  CHECK(check(dir, "[plugins.local]\nquota = \"1GiB\"\n").refused.empty());
  CHECK_THAT(check(dir, "[plugins.local]\nfsnc = false\n").refused, StartsWith(":3: plugin local: unknown key \"fsnc\""));
  CHECK_THAT(check(dir, "\nbackend = \"locall\"\n").refused,
             StartsWith(":3: backend \"locall\": no such plugin") && Contains("did you mean \"local\"?"));
  CHECK_THAT(check(dir, "previous = \"tape\"\n").refused, StartsWith(":2: previous \"tape\": no such plugin"));
  CHECK_THAT(check(dir, "[plugins.locall]\nquota = 1\n").refused, StartsWith(":2: [plugins.locall]: there is no such plugin"));
  // Of one that is not selected, too; without a table it is left alone.
  CHECK_THAT(check(dir, "[plugins.ipfs-http]\napii = \"x\"\n").refused, StartsWith(":3: plugin ipfs-http: unknown key \"apii\""));
  CHECK(check(dir, "[plugins.ipfs-http]\n").refused.empty());
}

TEST_CASE("a table of a plugin that is not installed is a warning") {
  const TempDir dir;
  const Checked checked = check(dir, "[plugins.tape]\nquota = 1\n");
  CHECK(checked.refused.empty());
  REQUIRE(checked.warnings.size() == 1);
  CHECK(checked.warnings[0] == (dir / "c.toml") + ":2: [plugins.tape]: there is no such plugin");
}

}  // namespace
}  // namespace ipcs::daemon
