// Whether holders, index and what lies below it agree; and making them agree.
#pragma once

#include <span>
#include <string>

#include "content/content.hpp"
#include "ipcs/store_extensions.hpp"

namespace ipcs::content {

struct RepairReport {
  Repaired store;                                // what the backend looked at
  RepairProgress progress;                       // the last that it told
  uint64_t leaked = 0, missing = 0, damaged = 0; // differences of each kind
  uint64_t left = 0;                             // of all these, those that were not mended
};

// Lets the current store compare its index with what lies below it, then compares the blobs that it lists with the
// catalog's rows, while others go on working. Unless `dry_run`, differences are mended: the store's as ipcs.repair/1
// says, and a blob that nobody holds is given to all `clients`, as at a start. A blob that somebody holds and that is not
// stored stays missing: writing it again heals it. `observer` is told of each difference and how far the work is.
// What was mended stays so when the work ends early.
// Throws Error: kUnimplemented, naming the backend, where it offers no ipcs.repair/1; kCancelled; kDeadlineExceeded; what
// the catalog and the store throw.
RepairReport repair(const Call& call, Content& content, std::span<const std::string> clients, bool dry_run,
                    const Repairer::Observer& observer);

}  // namespace ipcs::content
