// The child's side of a probe: loads the plugin, checks it and its configuration, and says what it found.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "ipcs/error.hpp"
#include "plugin/loader.hpp"
#include "plugin/probe.hpp"

namespace ipcs::loader {
namespace {

using nlohmann::json;

// Plain write(): a crash right after it must not take the line along.
void say(int fd, const json& what) {
  const std::string line = what.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd, line.data() + done, line.size() - done);
    if (n < 0 && errno != EINTR) return;  // nobody listens any more
    if (n > 0) done += static_cast<size_t>(n);
  }
}

// A crash must be seen as one: by its signal, without a core file and without anybody's handler.
void prepare_to_crash() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(number, SIG_DFL);
}

int refuse(int fd, Code code, const std::string& message) {
  say(fd, {{"ok", false}, {"code", static_cast<int>(code)}, {"message", message}});
  return 1;
}

// What load() says begins with the path, which the parent adds itself.
std::string without_path(std::string message, const std::string& path) {
  const std::string prefix = path + ": ";
  return message.compare(0, prefix.size(), prefix) == 0 ? message.substr(prefix.size()) : message;
}

int run(const std::string& path, int fd) {
  const std::string config{std::istreambuf_iterator<char>(std::cin), {}};
  try {
    say(fd, {{"at", "it was loaded"}});
    const LoadedPlugin plugin = LoadedPlugin::load(path);
    say(fd, {{"at", "its configuration was checked"}});
    plugin.validate(config, HostServices{});
    say(fd, {{"ok", true}, {"name", plugin.name()}, {"version", plugin.table().version}});
    return 0;
  } catch (const Error& e) {
    return refuse(fd, e.code(), without_path(e.what(), path));
  } catch (const std::exception& e) {
    return refuse(fd, Code::kFailedPrecondition, std::string("threw an exception: ") + e.what());
  } catch (...) {
    return refuse(fd, Code::kFailedPrecondition, "threw an exception of unknown type");
  }
}

}  // namespace

int probe_main(int argc, char** argv) {
  int fd = STDOUT_FILENO;
  bool good = argc == 3 || argc == 4;
  if (argc == 4) {
    const char* end = argv[3] + std::strlen(argv[3]);
    const auto [stop, error] = std::from_chars(argv[3], end, fd);
    good = error == std::errc() && stop == end && fd >= 0;
  }
  if (!good) {
    std::fprintf(stderr, "usage: %s plugin-probe FILE [FD] < CONFIG.json\n", argc > 0 ? argv[0] : "ipcsd");
    return 2;
  }
  prepare_to_crash();
  // Neither the plugin's destructors nor its atexit handlers have a say in the result.
  ::_exit(run(argv[2], fd));
}

}  // namespace ipcs::loader
