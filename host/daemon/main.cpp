// ipcsd: serves a storage backend to containerd as its content store.
#include <malloc.h>

#include <algorithm>
#include <cstdio>
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
      std::fputs(text.c_str(), stdout);
      return std::fflush(stdout) == 0 ? ipcs::daemon::kExitOk : ipcs::daemon::kExitFailure;
    }
    config = ipcs::config::load(options, environment);
    allow_missing = options.allow_missing;
  } catch (const ipcs::Error& e) {
    complain(e.what());
    return ipcs::daemon::kExitUsage;
  }
  return ipcs::daemon::run(config, {allow_missing}, ipcs::log::Log(config.log_level, config.log_format));
}
