// Loads a plugin and checks its configuration in a process of its own, where it can do no harm to the daemon.
#pragma once

#include <chrono>
#include <string>

namespace ipcs::loader {

// How to probe.
struct ProbeOptions {
  std::string executable = "/proc/self/exe";  // a program whose main() hands `plugin-probe` to probe_main()
  std::chrono::milliseconds time_limit = std::chrono::seconds(10);
};

// Loads the plugin `path` in a new process and calls validate(config_json) there. Returns when all went well. Throws
// Error with one line that names the file: what the loader, the checks of the ABI or validate() found (with validate's
// code), or how the process ended: by a signal, an exception, exit() or the time limit (kDeadlineExceeded).
// kInternal when no process can be started. Blocks the calling thread; may run on several threads at once.
//
// The process is made by posix_spawn, never by a bare fork: a threaded parent's locks and gRPC's state would come
// along. The configuration goes to its standard input and not on its command line, which everybody on the machine can
// read.
void probe(const std::string& path, const std::string& config_json, const ProbeOptions& options);

// The other side: main() of `<program> plugin-probe FILE [FD]`. Reads the configuration from standard input, prints
// what it does and finds as lines of JSON to the descriptor FD (default: standard output); the last one is
// {"ok":true,…} or {"ok":false,"code":…,"message":…}. Returns the exit status: 0, or 1 when the plugin is refused,
// 2 when the arguments are wrong. Never runs the plugin's destructors. Call it before threads are started.
int probe_main(int argc, char** argv);

}  // namespace ipcs::loader
