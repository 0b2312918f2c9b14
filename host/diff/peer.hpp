// Who is at the other end of a connection, and whether paths mean the same to both.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace ipcs::diff {

// The process that connected, 0 when it is in a PID namespace that can't be seen from here; nothing when `peer`, as
// gRPC writes it, is not one of our listener's connections ("fd:<number>").
std::optional<pid_t> process_of(const std::string& peer);

// Throws Error kFailedPrecondition, in one line, when the process has another mount or user namespace than this one,
// or when that can't be found out: the paths of its mounts would mean other directories here.
void check_namespaces(pid_t pid);

}  // namespace ipcs::diff
