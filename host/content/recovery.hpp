// What is done once at start: catalog and backend are made to agree.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "catalog/catalog.hpp"
#include "content/content.hpp"
#include "ipcs/store.hpp"
#include "log/log.hpp"

namespace ipcs::content {

struct RecoveryOptions {
  std::vector<std::string> clients;  // names of the listening sockets
  bool adopt_for_containerd = false; // blobs found by a new catalog become containerd's instead of the operator's
  bool allow_missing = false;        // go on with a store that lacks what the catalog knows
  std::string backend;               // name, for messages
};

struct RecoveryReport {
  uint64_t blobs = 0;    // stored
  uint64_t bytes = 0;
  uint64_t adopted = 0;  // found without a row
  uint64_t missing = 0;  // rows without bytes
  uint64_t damaged = 0;  // with another size than was committed
  uint64_t dropped_ingests = 0;
};

// Compares the backend with the catalog before any client is served.
// - A new catalog takes over what it finds: blobs are pinned for the operator, or claimed for every client.
// - In an older one a blob without a row is one whose commit was cut off before its claim: every client gets a claim,
//   and containerd's garbage collection decides.
// - Pending pins are finished where the bytes are there, dropped where not. Ingests without a row, and rows without an
//   ingest, are dropped.
// - Another store than the catalog remembers is refused with kFailedPrecondition that says how many blobs it lacks,
//   unless `allow_missing`; then nothing is changed.
// A crash in the middle leaves a catalog with which the next start does the same again.
RecoveryReport recover(const Call& call, Store& backend, catalog::Catalog& catalog, int64_t now_ns,
                       const RecoveryOptions& options, const log::Log& log);

}  // namespace ipcs::content
