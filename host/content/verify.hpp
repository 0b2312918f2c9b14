// Reading stored blobs again: are their bytes still the ones that their digests name?
#pragma once

#include <span>

#include "content/content.hpp"
#include "content/findings.hpp"

namespace ipcs::content {

// Hashes the blobs `digests`, or all that anyone holds when there are none, and quarantines what is damaged. Of what the
// previous store serves, which nobody may change, it takes the damaged out of service until the next start. Reads past
// the cache of open blobs and keeps no blob open. A blob that is removed meanwhile is passed over, one
// that is replaced meanwhile is read again.
// Throws Error: kNotFound, before anything is read, when one of `digests` is neither stored nor held; kCancelled;
// kDeadlineExceeded; what the catalog throws.
Progress verify(const Call& call, Content& content, std::span<const Digest> digests, const Observer& observer);

}  // namespace ipcs::content
