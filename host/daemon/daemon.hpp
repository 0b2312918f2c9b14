// The daemon put together: catalog, backend, content, and a server for each socket.
#pragma once

#include "config/config.hpp"
#include "log/log.hpp"

namespace ipcs::daemon {

// What the command line says besides the configuration.
struct RunOptions {
  bool allow_missing = false;  // go on although the store lacks blobs that are in use
};

// Exit statuses of the daemon.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;  // the configuration does not fit: nothing was changed

// Runs until SIGTERM or SIGINT; call block_signals() before. Returns the exit status; what went wrong is one line of log.
// A clean end lets requests finish for some seconds, then cancels them; ingests that were being written stay and are
// resumed by whoever opens their refs again.
int run(const config::Config& config, const RunOptions& options, const log::Log& log);

}  // namespace ipcs::daemon
