// The child's side of a probe: loads the plugin, checks it and its configuration, and says what it found.
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ipcs/error.hpp"
#include "plugin/loader.hpp"
#include "plugin/probe.hpp"
#include "plugin/trial_process.hpp"

namespace ipcs::loader {
namespace {

int refuse(int fd, Code code, const std::string& message) {
  report_line(fd, {{"ok", false}, {"code", static_cast<int>(code)}, {"message", message}});
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
    report_line(fd, {{"at", "it was loaded"}});
    const LoadedPlugin plugin = LoadedPlugin::load(path);
    report_line(fd, {{"at", "its configuration was checked"}});
    plugin.validate(config, HostServices{});
    report_line(fd, {{"ok", true}, {"name", plugin.name()}, {"version", plugin.table().version}});
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
  const std::optional<int> fd = argc == 4 ? to_number(argv[3]) : STDOUT_FILENO;
  if (!fd || (argc != 3 && argc != 4)) {
    std::fprintf(stderr, "usage: %s plugin-probe FILE [FD] < CONFIG.json\n", argc > 0 ? argv[0] : "ipcsd");
    return 2;
  }
  prepare_to_crash();
  // Neither the plugin's destructors nor its atexit handlers have a say in the result.
  ::_exit(run(argv[2], *fd));
}

}  // namespace ipcs::loader
