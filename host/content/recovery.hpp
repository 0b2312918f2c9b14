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
  std::string previous;              // likewise
};

struct RecoveryReport {
  uint64_t blobs = 0;    // stored, in the current store
  uint64_t bytes = 0;
  uint64_t adopted = 0;  // found without a row
  uint64_t missing = 0;  // rows without bytes in either store
  uint64_t damaged = 0;  // with another size than was committed
  uint64_t dropped_ingests = 0;
  Amount to_copy;        // what the previous store serves, as the current one lacks it
};

// Compares the stores with the catalog before any client is served, and tells `stores` what the previous one is to serve:
// each blob with a row that the current one lacks, or has damaged while the previous one's has the right size.
// - A new catalog takes over what it finds in either store: blobs are pinned for the operator, or claimed for every
//   client.
// - In an older one a blob without a row is one whose commit was cut off before its claim: every client gets a claim,
//   and containerd's garbage collection decides. In the previous store that goes for the start that makes it the previous
//   one; later a blob there without a row is one that was deleted.
// - Pending pins are finished where the bytes are there, dropped where not. Ingests without a row, and rows without an
//   ingest, are dropped; those of a copy that goes on stay.
// - The catalog remembers the current store's id, and the previous one's as long as that serves anything. Where blobs are
//   missing and one of the stores that it remembers is not open, they are probably there: kFailedPrecondition that says
//   how many they are, unless `allow_missing`. The same error where both stores are one. Nothing is changed then.
// A crash in the middle leaves a catalog with which the next start does the same again.
RecoveryReport recover(const Call& call, Stores& stores, catalog::Catalog& catalog, int64_t now_ns,
                       const RecoveryOptions& options, const log::Log& log);

}  // namespace ipcs::content
