// What work on all blobs tells while it goes on: how far it is, and which blobs are not as they should be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "ipcs/store.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

enum class FindingKind {
  kDamaged,     // the bytes are wrong, too few or too many; the blob was quarantined unless `detail` says why not
  kMissing,     // somebody holds the blob, but no bytes are stored
  kRefused,     // the store that it was to be copied to has no way to keep it under this digest; nothing was changed
  kUnreadable,  // the backend failed to give the bytes; nothing was changed
};

// One blob that is not as it should be.
struct Finding {
  FindingKind kind;
  oci::Digest digest;
  std::string detail;  // one line, without the digest
};

// What is added about a damaged blob of the previous store, which nobody may change.
inline constexpr char kOutOfServiceInPrevious[] =
    "; it lies in the previous store, which is only read: it is out of service until ipcsd starts again";

struct Progress {
  uint64_t done_bytes = 0, total_bytes = 0;  // the total is that of the beginning; blobs come and go meanwhile
  uint64_t done_blobs = 0, total_blobs = 0;
  std::string current;  // digest being read, empty at the end
};

// Who follows the work. Each may be empty; what they throw ends it. Called on the thread that works, without any lock
// held.
struct Observer {
  std::function<void(const Progress&)> progress;  // about once a MiB, and at the end
  std::function<void(const Finding&)> found;
};

// What it means that a backend would not give the bytes of a blob. Throws `error` on when it is the caller's end, which
// is no property of the blob: kCancelled or kDeadlineExceeded.
Finding to_finding(const oci::Digest& digest, const Error& error);

// Tells `observer` how far `what` is. Throws Error kCancelled or kDeadlineExceeded when the call is over.
void report(const Call& call, std::string_view what, const Observer& observer, const Progress& progress);

}  // namespace ipcs::content
