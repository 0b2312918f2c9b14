// Waiting for the signal that ends the daemon.
#pragma once

namespace ipcs::daemon {

// Blocks SIGTERM, SIGINT and SIGHUP in this thread and all that it starts from now on, and ignores SIGPIPE. Call it first
// in main().
void block_signals();

// Waits for one of the blocked signals and returns its number. SIGHUP is no reason to end and is passed over.
int wait_for_end();

}  // namespace ipcs::daemon
