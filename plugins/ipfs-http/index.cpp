// Three connections to one database, so that a look-up never waits for another's sync.
#include "index.hpp"

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {

constexpr int64_t kVersion = 2;  // 1 had no parts

constexpr const char* kSchema = R"(
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (digest TEXT PRIMARY KEY, cid TEXT NOT NULL, size INTEGER NOT NULL,
  created INTEGER NOT NULL, reading INTEGER NOT NULL, verified INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_cid ON blobs (cid);
CREATE INDEX IF NOT EXISTS blobs_claimed ON blobs (digest) WHERE verified = 0;
CREATE TABLE IF NOT EXISTS chores (digest TEXT PRIMARY KEY, kind INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finished (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (key TEXT NOT NULL, offset INTEGER NOT NULL, hashes BLOB NOT NULL, guard TEXT NOT NULL,
  PRIMARY KEY (key, offset)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_guard ON parts (guard);
CREATE TABLE IF NOT EXISTS pins (cid TEXT PRIMARY KEY, released INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pins_released ON pins (released);
)";

constexpr int64_t kInUse = INT64_MAX;  // pins.released

std::string path_of(const std::string& directory) { return directory + "/index.db"; }

BlobRow row_of(const Database::Run& run) {
  return {run.text(0),
          ipld::Cid::parse(run.text(1)),
          static_cast<uint64_t>(run.integer(2)),
          run.integer(3),
          run.integer(4) == 0 ? Reading::kBytes : Reading::kRoot,
          run.integer(5) != 0};
}

}  // namespace

Index::Index(const std::string& directory)
    : write_(path_of(directory)), notes_(path_of(directory)), read_(path_of(directory)) {
  for (Database* database : {&write_, &notes_, &read_}) database->execute("PRAGMA journal_mode = WAL");
  write_.execute("PRAGMA synchronous = FULL");
  notes_.execute("PRAGMA synchronous = NORMAL");
  int64_t version = 0;
  {
    Database::Run run(write_, "PRAGMA user_version");
    if (run.step()) version = run.integer(0);
  }
  if (version > kVersion)
    throw Error(Code::kFailedPrecondition, path_of(directory) + ": was written by a newer version");
  if (version < kVersion) {
    Transaction transaction(write_);
    write_.execute(kSchema);
    write_.execute("PRAGMA user_version = 2");
    transaction.commit();
  }
  Database::Run run(read_, "SELECT COALESCE(SUM(size), 0) FROM (SELECT DISTINCT cid, size FROM blobs)");
  if (run.step()) bytes_ = static_cast<uint64_t>(run.integer(0));
}

std::string Index::meta(const std::string& key) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT value FROM meta WHERE key = ?");
  return run.bind(key).step() ? run.text(0) : "";
}

void Index::set_meta(const std::string& key, const std::string& value) {
  const std::lock_guard lock(write_mutex_);
  Database::Run(write_, "INSERT OR REPLACE INTO meta VALUES (?, ?)").bind(key).bind(value).finish();
}

std::optional<BlobRow> Index::find(std::string_view digest) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT digest, cid, size, created, reading, verified FROM blobs WHERE digest = ?");
  if (!run.bind(digest).step()) return std::nullopt;
  return row_of(run);
}

std::vector<BlobRow> Index::list(std::string_view after, size_t limit) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT digest, cid, size, created, reading, verified FROM blobs WHERE digest > ? ORDER BY digest LIMIT ?");
  run.bind(after).bind(static_cast<int64_t>(limit));
  std::vector<BlobRow> rows;
  while (run.step()) rows.push_back(row_of(run));
  return rows;
}

Index::Amount Index::amount(const char* sql) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, sql);
  if (!run.step()) return {};
  return {static_cast<uint64_t>(run.integer(0)), static_cast<uint64_t>(run.integer(1))};
}
Index::Amount Index::blobs() { return amount("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs"); }
Index::Amount Index::claimed() { return amount("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs WHERE verified = 0"); }

size_t Index::pending() {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT (SELECT COUNT(*) FROM chores) + (SELECT COUNT(*) FROM pins WHERE released < ?)");
  return run.bind(kInUse).step() ? static_cast<size_t>(run.integer(0)) : 0;
}

std::vector<std::string> Index::claims(std::string_view after, size_t limit) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT digest FROM blobs WHERE verified = 0 AND digest > ? ORDER BY digest LIMIT ?");
  run.bind(after).bind(static_cast<int64_t>(limit));
  std::vector<std::string> digests;
  while (run.step()) digests.push_back(run.text(0));
  return digests;
}

bool Index::shared(Database& database, const ipld::Cid& cid, std::string_view digest) {
  const std::string text = cid.to_string();
  Database::Run run(database, "SELECT 1 FROM blobs WHERE cid = ? AND digest <> ? LIMIT 1");
  return run.bind(text).bind(digest).step();
}

void Index::put(const BlobRow& row, std::string_view ingest) {
  const std::lock_guard lock(write_mutex_);
  Transaction transaction(write_);
  int64_t change = 0;
  {
    Database::Run before(write_, "SELECT digest, cid, size, created, reading, verified FROM blobs WHERE digest = ?");
    if (before.bind(row.digest).step()) {
      const BlobRow old = row_of(before);
      if (!shared(write_, old.cid, old.digest)) change -= static_cast<int64_t>(old.size);
    }
  }
  if (!shared(write_, row.cid, row.digest)) change += static_cast<int64_t>(row.size);
  const std::string cid = row.cid.to_string();
  Database::Run(write_, "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?, ?)")
      .bind(row.digest)
      .bind(cid)
      .bind(static_cast<int64_t>(row.size))
      .bind(row.created_ns)
      .bind(static_cast<int64_t>(row.reading))
      .bind(row.verified ? 1 : 0)
      .finish();
  Database::Run(write_, "DELETE FROM chores WHERE digest = ?").bind(row.digest).finish();
  if (!ingest.empty()) Database::Run(write_, "INSERT OR IGNORE INTO finished VALUES (?)").bind(ingest).finish();
  transaction.commit();
  bytes_ += static_cast<uint64_t>(change);
}

std::vector<std::string> Index::finished_ingests() {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT key FROM finished");
  std::vector<std::string> keys;
  while (run.step()) keys.push_back(run.text(0));
  return keys;
}

void Index::forget_ingest(std::string_view key) {
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "DELETE FROM finished WHERE key = ?").bind(key).finish();
}

size_t Index::add_claims(const std::vector<BlobRow>& rows) {
  const std::lock_guard lock(write_mutex_);
  Transaction transaction(write_);
  size_t added = 0;
  uint64_t bytes = 0;
  for (const BlobRow& row : rows) {
    const std::string cid = row.cid.to_string();
    const bool counted = shared(write_, row.cid, row.digest);
    const int changed = Database::Run(write_, "INSERT OR IGNORE INTO blobs SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
                                              "WHERE NOT EXISTS (SELECT 1 FROM chores WHERE digest = ?1)")
                            .bind(row.digest)
                            .bind(cid)
                            .bind(static_cast<int64_t>(row.size))
                            .bind(row.created_ns)
                            .bind(static_cast<int64_t>(row.reading))
                            .bind(row.verified ? 1 : 0)
                            .finish();
    if (changed == 0) continue;
    ++added;
    if (!counted) bytes += row.size;
  }
  transaction.commit();
  bytes_ += bytes;
  return added;
}

bool Index::remove(std::string_view digest, ChoreKind kind) {
  const std::lock_guard lock(write_mutex_);
  Transaction transaction(write_);
  uint64_t freed = 0;
  {
    Database::Run run(write_, "SELECT digest, cid, size, created, reading, verified FROM blobs WHERE digest = ?");
    if (!run.bind(digest).step()) return false;
    const BlobRow row = row_of(run);
    if (!shared(write_, row.cid, digest)) freed = row.size;
  }
  Database::Run(write_, "DELETE FROM blobs WHERE digest = ?").bind(digest).finish();
  Database::Run(write_, "INSERT OR REPLACE INTO chores VALUES (?, ?)").bind(digest).bind(static_cast<int64_t>(kind)).finish();
  transaction.commit();
  bytes_ -= freed;
  return true;
}

std::vector<Chore> Index::chores(size_t limit) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT digest, kind FROM chores LIMIT ?");
  run.bind(static_cast<int64_t>(limit));
  std::vector<Chore> chores;
  while (run.step()) chores.push_back({run.text(0), run.integer(1) == 0 ? ChoreKind::kRemove : ChoreKind::kQuarantine});
  return chores;
}

bool Index::has_chore(std::string_view digest) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT 1 FROM chores WHERE digest = ?");
  return run.bind(digest).step();
}

void Index::finish_chore(std::string_view digest) {
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "DELETE FROM chores WHERE digest = ?").bind(digest).finish();
}

void Index::expect_chore(std::string_view digest) {
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "INSERT OR IGNORE INTO chores VALUES (?, 0)").bind(digest).finish();
}

void Index::keep_parts(std::string_view key, std::span<const IngestPart> parts) {
  const std::lock_guard lock(write_mutex_);
  Transaction transaction(write_);
  for (const IngestPart& part : parts) {
    const std::string guard = part.guard.to_string();
    Database::Run(write_, "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)")
        .bind(key)
        .bind(static_cast<int64_t>(part.offset))
        .bind(std::span<const uint8_t>(part.hashes))
        .bind(guard)
        .finish();
  }
  transaction.commit();
}

std::vector<IngestPart> Index::parts(std::string_view key) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT offset, hashes, guard FROM parts WHERE key = ? ORDER BY offset");
  run.bind(key);
  std::vector<IngestPart> parts;
  while (run.step()) parts.push_back({static_cast<uint64_t>(run.integer(0)), run.blob(1), ipld::Cid::parse(run.text(2))});
  return parts;
}

void Index::forget_parts(std::string_view key, uint64_t offset, int64_t at_ns) {
  const std::lock_guard lock(notes_mutex_);
  Transaction transaction(notes_);
  Database::Run(notes_, "UPDATE pins SET released = ? WHERE cid IN (SELECT guard FROM parts WHERE key = ? AND offset >= ?)")
      .bind(at_ns)
      .bind(key)
      .bind(static_cast<int64_t>(offset))
      .finish();
  Database::Run(notes_, "DELETE FROM parts WHERE key = ? AND offset >= ?").bind(key).bind(static_cast<int64_t>(offset)).finish();
  transaction.commit();
}

std::vector<std::string> Index::ingests_with_parts() {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT DISTINCT key FROM parts");
  std::vector<std::string> keys;
  while (run.step()) keys.push_back(run.text(0));
  return keys;
}

void Index::note_pin(const ipld::Cid& cid) {
  const std::string text = cid.to_string();
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "INSERT OR REPLACE INTO pins VALUES (?, ?)").bind(text).bind(kInUse).finish();
}

void Index::release_pin(const ipld::Cid& cid, int64_t at_ns) {
  const std::string text = cid.to_string();
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "UPDATE pins SET released = ? WHERE cid = ? AND cid NOT IN (SELECT guard FROM parts)").bind(at_ns).bind(text).finish();
}

void Index::release_all_pins() {
  const std::lock_guard lock(notes_mutex_);
  Database::Run(notes_, "UPDATE pins SET released = 0 WHERE cid NOT IN (SELECT guard FROM parts)").finish();
}

std::vector<ipld::Cid> Index::released_pins(int64_t now_ns, size_t limit) {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT cid FROM pins WHERE released <= ? ORDER BY released LIMIT ?");
  run.bind(now_ns).bind(static_cast<int64_t>(limit));
  std::vector<ipld::Cid> cids;
  while (run.step()) cids.push_back(ipld::Cid::parse(run.text(0)));
  return cids;
}

void Index::forget_pin(const ipld::Cid& cid) {
  const std::string text = cid.to_string();
  const std::lock_guard lock(notes_mutex_);
  // One that has been taken into use again meanwhile stays.
  Database::Run(notes_, "DELETE FROM pins WHERE cid = ? AND released < ?").bind(text).bind(kInUse).finish();
}

bool Index::has_pin(const ipld::Cid& cid) {
  const std::string text = cid.to_string();
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT 1 FROM pins WHERE cid = ?");
  return run.bind(text).step();
}

size_t Index::pins() {
  const std::lock_guard lock(read_mutex_);
  Database::Run run(read_, "SELECT COUNT(*) FROM pins");
  return run.step() ? static_cast<size_t>(run.integer(0)) : 0;
}

}  // namespace ipcs::ipfs_http
