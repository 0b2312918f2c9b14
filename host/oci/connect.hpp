// TCP connections that can be given up while they are made.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <cstdint>
#include <string>

#include "oci/call.hpp"

namespace ipcs::oci {

// Connects to the first address of `host` that answers, each within `patience`. Resolving a name happens on a thread
// that is left behind when the call is over. Throws Error kUnavailable naming host and reason, kCancelled,
// kDeadlineExceeded.
Poco::Net::StreamSocket connect_tcp(const std::string& host, uint16_t port, Call::Clock::duration patience,
                                    const Call& call);

}  // namespace ipcs::oci
