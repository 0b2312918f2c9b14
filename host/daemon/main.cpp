// ipcsd: serves a storage backend to containerd as its content store.
#include <fcntl.h>
#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "config/command_line.hpp"
#include "daemon/backend_config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/signals.hpp"
#include "ipcs/error.hpp"
#include "plugin/probe.hpp"
#include "service/server.hpp"

namespace {

// All problems of a configuration come as one text; each is a line that begins as any other does.
void complain(std::string_view problems) {
  while (!problems.empty()) {
    const std::string_view line = problems.substr(0, problems.find('\n'));
    std::fprintf(stderr, "ipcsd: %.*s\n", static_cast<int>(line.size()), line.data());
    problems.remove_prefix(std::min(problems.size(), line.size() + 1));
  }
}

// Where a standard stream is closed, the next file that is opened would take its place, a blob perhaps, and lines of log
// would be written into it. Runs before libraries start, since gRPC opens its first descriptors then; by system calls,
// since sanitizers start later as well.
[[gnu::no_sanitize("address", "thread", "undefined")]] void hold_standard_streams(int, char**, char**) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::syscall(SYS_fcntl, fd, F_GETFD) < 0) ::syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
  }
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const first_of_all)(int, char**, char**) = hold_standard_streams;

}  // namespace

int main(int argc, char** argv) {
  using ipcs::config::Options;
  // A process of its own in which a plugin is tried; see host/plugin/probe.hpp.
  if (argc > 1 && std::string_view(argv[1]) == "plugin-probe") return ipcs::loader::probe_main(argc, argv);

  ipcs::daemon::block_signals();
  ipcs::service::choose_poller();
  // Threads of the lanes come and go; an arena for each would keep what the largest message needed.
  ::mallopt(M_ARENA_MAX, 2);
  const ipcs::config::Environment environment = ipcs::config::Environment::of_process();
  ipcs::config::Config config;
  bool allow_missing = false;
  try {
    const Options options = ipcs::config::parse_command_line(argc, argv, environment);
    if (options.action != Options::Action::kRun) {
      const std::string text = ipcs::config::run_command(options, environment);
      if (options.action == Options::Action::kCheck)
        ipcs::daemon::check_plugins(ipcs::config::load(options, environment), [](const std::string& warning) {
          std::fprintf(stderr, "ipcsd: warning: %s\n", warning.c_str());
        });
      if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return ipcs::daemon::kExitOk;
      complain(std::string("standard output: ") + std::strerror(errno));
      return ipcs::daemon::kExitFailure;
    }
    config = ipcs::config::load(options, environment);
    allow_missing = options.allow_missing;
  } catch (const ipcs::Error& e) {
    complain(e.what());
    return ipcs::daemon::kExitUsage;
  }
  return ipcs::daemon::run(config, {allow_missing}, ipcs::log::Log(config.log_level, config.log_format));
}
