// One pass over the backend's blobs and ingests, one over the catalog's rows.
#include "content/recovery.hpp"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

namespace ipcs::content {
namespace {

constexpr size_t kPage = 1000;

std::unordered_map<Digest, uint64_t> stored_blobs(const Call& call, Store& backend, const log::Log& log) {
  std::unordered_map<Digest, uint64_t> stored;
  Cursor cursor = backend.list_blobs(call);
  for (std::vector<Entry> entries = cursor.next(call); !entries.empty(); entries = cursor.next(call)) {
    for (const Entry& entry : entries) {
      if (auto digest = Digest::try_parse(entry.name)) {
        stored.emplace(*std::move(digest), entry.size);
      } else {
        log.warn("the backend lists a blob whose name is not a digest; it is not served", {{"name", printable(entry.name)}});
      }
    }
  }
  return stored;
}

// The catalog's held blobs against what is stored.
void count_missing(const catalog::Catalog& catalog, const std::unordered_map<Digest, uint64_t>& stored,
                   std::unordered_set<Digest>& known, RecoveryReport& report) {
  std::string after;
  for (;;) {
    const std::vector<Blob> rows = catalog.list({}, after, kPage);
    if (rows.empty()) return;
    after = rows.back().digest.to_string();
    for (const Blob& row : rows) {
      known.insert(row.digest);
      const auto found = stored.find(row.digest);
      if (found == stored.end()) {
        ++report.missing;
      } else if (found->second != row.size) {
        ++report.damaged;
      }
    }
  }
}

// Adds those that became pins to `known`.
void settle_pending_pins(catalog::Catalog& catalog, const std::unordered_map<Digest, uint64_t>& stored,
                         std::unordered_set<Digest>& known) {
  for (const Digest& digest : catalog.pending_pins()) {
    if (stored.contains(digest)) {
      catalog.finish_pin(digest);
      known.insert(digest);
    } else {
      catalog.cancel_pin(digest);
    }
  }
}

uint64_t settle_ingests(const Call& call, Store& backend, catalog::Catalog& catalog) {
  std::unordered_set<std::string> rows;
  for (const catalog::Ingest& ingest : catalog.ingests({})) rows.insert(ingest.key);
  std::unordered_set<std::string> stored;
  std::unordered_set<std::string> strangers;
  Cursor cursor = backend.list_ingests(call);
  for (std::vector<Entry> entries = cursor.next(call); !entries.empty(); entries = cursor.next(call)) {
    for (Entry& entry : entries) {
      (rows.contains(entry.name) ? stored : strangers).insert(std::move(entry.name));
    }
  }
  for (const std::string& key : strangers) backend.discard_ingest(call, key);
  uint64_t dropped = strangers.size();
  for (const std::string& key : rows) {
    if (stored.contains(key)) continue;
    catalog.drop_ingest(key);
    ++dropped;
  }
  return dropped;
}

void check_store_id(const std::string& id, const std::string& remembered, uint64_t held, const RecoveryOptions& options,
                    const RecoveryReport& report) {
  if (id.empty()) throw Error(Code::kInternal, fmt::format("backend {}: its store has no id", options.backend));
  if (remembered != id && !remembered.empty() && report.missing > 0 && !options.allow_missing) {
    throw Error(Code::kFailedPrecondition,
                fmt::format("backend {}: this is another store ({}) than the catalog describes ({}); it lacks {} of the "
                            "{} blobs in use; give the old one back, or start with --allow-missing to do without them",
                            options.backend, id, remembered, report.missing, held));
  }
}

}  // namespace

RecoveryReport recover(const Call& call, Store& backend, catalog::Catalog& catalog, int64_t now_ns,
                       const RecoveryOptions& options, const log::Log& log) {
  RecoveryReport report;
  const std::unordered_map<Digest, uint64_t> stored = stored_blobs(call, backend, log);
  report.blobs = stored.size();
  for (const auto& [digest, size] : stored) report.bytes += size;
  const StoreInfo info = backend.info(call);
  const std::string remembered = catalog.store_id();

  std::unordered_set<Digest> known;
  count_missing(catalog, stored, known, report);
  check_store_id(info.id, remembered, known.size(), options, report);

  const bool pin = remembered.empty() && !options.adopt_for_containerd;
  // In one transaction with the store's id: a catalog that has an id has taken in everything.
  catalog.in_transaction([&] {
    settle_pending_pins(catalog, stored, known);
    for (const auto& [digest, size] : stored) {
      if (known.contains(digest)) continue;
      ++report.adopted;
      if (pin) catalog.pin(digest, size, now_ns, "found at first start");
      for (const std::string& client : options.clients) {
        if (!pin) catalog.claim(client, digest, size, now_ns, nullptr);
      }
    }
    if (remembered != info.id) catalog.set_store_id(info.id);
  });
  if (!info.read_only) report.dropped_ingests = settle_ingests(call, backend, catalog);
  return report;
}

}  // namespace ipcs::content
