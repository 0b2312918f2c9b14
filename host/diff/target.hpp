// From the mounts of a snapshot to the directory that a layer is written into.
#pragma once

#include <vector>

#include "diff/applier.hpp"
#include "diff/fd.hpp"
#include "diff/job.hpp"

namespace ipcs::diff {

// Each is the root of a mount that is attached nowhere, so ".." doesn't leave it; devices can't be opened there.
struct Target {
  Fd root;
  Whiteouts whiteouts = Whiteouts::kRemove;
  std::vector<Fd> lower;  // layers of an overlay, the topmost first; read-only
};

// Whether the process is in a user namespace that is not the system's own.
bool in_user_namespace();

// Opens the target. A bind mount is its source and an overlay its upper directory, as for containerd; anything else,
// in a user namespace an overlay too, is mounted below `mount_point`, so the process must be in a mount namespace of
// its own that dies with it. Throws Error: kUnimplemented for a mount that only containerd's mount manager or a
// helper program can make; kFailedPrecondition.
Target open_target(const std::vector<Mount>& mounts, const std::string& mount_point);

}  // namespace ipcs::diff
