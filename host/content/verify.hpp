// Reading stored blobs again: are their bytes still the ones that their digests name?
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "content/content.hpp"

namespace ipcs::content {

enum class FindingKind {
  kDamaged,     // the bytes are wrong, too few or too many; the blob was quarantined unless `detail` says why not
  kMissing,     // somebody holds the blob, but no bytes are stored
  kUnreadable,  // the backend failed to give the bytes; nothing was changed
};

// One blob that is not as it should be.
struct Finding {
  FindingKind kind;
  Digest digest;
  std::string detail;  // one line, without the digest
};

struct VerifyProgress {
  uint64_t done_bytes = 0, total_bytes = 0;  // the total is that of the beginning; blobs come and go meanwhile
  uint64_t done_blobs = 0, total_blobs = 0;
  std::string current;  // digest being read, empty at the end
};

// Who follows a verification. Each may be empty; what they throw ends it. Called on the thread of verify(), without
// any lock held.
struct VerifyObserver {
  std::function<void(const VerifyProgress&)> progress;  // about once a MiB, and at the end
  std::function<void(const Finding&)> found;
};

// Hashes the blobs `digests`, or all that anyone holds when there are none, and quarantines what is damaged. Reads past
// the cache of open blobs and keeps no blob open. A blob that is removed meanwhile is passed over.
// Throws Error: kNotFound, before anything is read, when one of `digests` is neither stored nor held; kCancelled;
// kDeadlineExceeded; what the catalog throws.
VerifyProgress verify(const Call& call, Content& content, std::span<const Digest> digests,
                      const VerifyObserver& observer);

}  // namespace ipcs::content
