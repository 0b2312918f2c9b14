// Tells the service manager how the daemon is doing (sd_notify(3)).
#pragma once

#include <string_view>

namespace ipcs::daemon {

// Sends `state`, e.g. "READY=1\nSTATUS=…", to the socket that $NOTIFY_SOCKET names, a path or an abstract name that begins
// with '@'. Does nothing when there is none. Returns whether a message was sent.
bool notify(std::string_view state) noexcept;

}  // namespace ipcs::daemon
