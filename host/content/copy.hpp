// Copying what still lies in the previous store into the current one.
#pragma once

#include "content/content.hpp"
#include "content/findings.hpp"

namespace ipcs::content {

struct CopyReport {
  Progress progress;
  Amount copied;          // to the current store, by this run
  bool complete = false;  // it lacks nothing any more: the previous store is not needed
};

// Copies each blob that the current store lacks, one after the other in the order of their digests, hashed on the way
// and durable before the next. Catalog rows are left as they are. A blob that is removed or written by somebody else
// meanwhile is passed over, and no bytes of it stay behind. What is found damaged is not copied, and is out of service
// until the next start.
//
// When it ends early, by an error, a kill or the caller, the next run goes on where this one was, also within a blob.
// When nothing is lacking any more, the catalog forgets the previous store.
//
// Throws Error: kFailedPrecondition when there is no previous store or another copy is under way; kCancelled;
// kDeadlineExceeded; what the catalog and the current store throw.
CopyReport copy_blobs(const Call& call, Content& content, const Observer& observer);

}  // namespace ipcs::content
