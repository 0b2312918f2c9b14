// Dropping all that a client holds whose socket is no longer configured.
#pragma once

#include <string>

#include "content/content.hpp"

namespace ipcs::content {

struct Released {
  Amount claims;   // that were dropped, with the sizes of their blobs
  Amount freed;    // of these blobs: what the store got rid of, as nobody else held them
  Amount ingests;  // that were dropped, with their bytes
};

// Drops the client's ingests and claims; bytes go where nobody else holds them. The caller sees to it that no socket
// serves the client. What was done when it ends early stays done, and the next call goes on from there.
// kInvalidArgument: the operator, who has no claims; kNotFound: the client has neither claims nor ingests;
// kFailedPrecondition: the store is open for reading only, and nothing is changed; kCancelled.
Released release_client(const Call& call, Content& content, const std::string& name);

}  // namespace ipcs::content
