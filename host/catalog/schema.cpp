// Version checks, the copy before a migration, and the tables.
#include "catalog/schema.hpp"

#include <array>

namespace ipcs::catalog {
namespace {

// README.md explains the tables.
constexpr char kVersion1[] = R"sql(
CREATE TABLE meta(
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE blobs(
  digest BLOB PRIMARY KEY,
  size INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  labels BLOB
) WITHOUT ROWID, STRICT;
CREATE TABLE claims(
  client TEXT NOT NULL,
  digest BLOB NOT NULL,
  created_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  labels BLOB,
  PRIMARY KEY(client, digest)
) WITHOUT ROWID, STRICT;
CREATE VIEW clients(name) AS
  WITH RECURSIVE names(name) AS (
    SELECT min(client) FROM claims
    UNION ALL
    SELECT (SELECT min(client) FROM claims WHERE client > names.name) FROM names WHERE names.name IS NOT NULL
  )
  SELECT name FROM names WHERE name IS NOT NULL;
CREATE TABLE pins(
  digest BLOB PRIMARY KEY,
  created_ns INTEGER NOT NULL,
  pending INTEGER NOT NULL,
  note BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE ingests(
  key TEXT PRIMARY KEY,
  client TEXT NOT NULL,
  ref BLOB NOT NULL,
  expected TEXT NOT NULL,
  total INTEGER NOT NULL,
  started_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  UNIQUE(client, ref)
) WITHOUT ROWID, STRICT;
)sql";

// Pins have owners.
constexpr char kVersion2[] = R"sql(
CREATE TABLE owned_pins(
  digest BLOB NOT NULL,
  owner TEXT NOT NULL,
  created_ns INTEGER NOT NULL,
  pending INTEGER NOT NULL,
  note BLOB NOT NULL,
  PRIMARY KEY(digest, owner)
) WITHOUT ROWID, STRICT;
INSERT INTO owned_pins(digest, owner, created_ns, pending, note)
  SELECT digest, 'operator', created_ns, pending, note FROM pins;
DROP TABLE pins;
ALTER TABLE owned_pins RENAME TO pins;
)sql";

// Looks at the file without changing it. Returns its version and whether it holds nothing at all.
struct Found {
  int64_t version;
  bool empty;
};

Found inspect(Connection& connection, int64_t newest) {
  try {
    const int64_t version = connection.integer("PRAGMA user_version");
    const int64_t application = connection.integer("PRAGMA application_id");
    const bool empty = connection.integer("SELECT count(*) FROM sqlite_schema") == 0;
    const std::string file = "catalog " + connection.path() + ": ";
    if (!empty && application != kApplicationId) {
      throw Error(Code::kFailedPrecondition, file +
                                                 "is a database of another program and was left as it is; move it "
                                                 "away or configure another root");
    }
    if (version > newest) {
      throw Error(Code::kFailedPrecondition,
                  file + "has schema version " + std::to_string(version) + ", this ipcsd knows up to version " +
                      std::to_string(newest) + " and left it as it is; install the newer ipcsd again, or put back " +
                      connection.path() + ".v" + std::to_string(newest) + ".bak if the newer one made it");
    }
    return {version, empty};
  } catch (const Error& e) {
    if (e.code() != Code::kDataLoss) throw;
    throw Error(Code::kDataLoss, std::string(e.what()) +
                                     "; it was left as it is: put back a copy, or move it away to "
                                     "have a new catalog made from the store's blobs");
  }
}

void remove_file(const std::string& path, const std::string& vfs_name) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  const int result = vfs->xDelete(vfs, path.c_str(), 1);
  if (result != SQLITE_OK && result != SQLITE_IOERR_DELETE_NOENT) {
    throw Error(Code::kInternal, "catalog " + path + ": cannot be removed: " + sqlite3_errstr(result));
  }
}

void copy(Connection& from, const std::string& to_path, const std::string& vfs) {
  // What an interrupted copy left.
  for (const char* suffix : {"-journal", "-wal", ""}) remove_file(to_path + suffix, vfs);
  Connection to(to_path, vfs, true);
  to.execute("PRAGMA synchronous = FULL");
  sqlite3_backup* backup = sqlite3_backup_init(to.handle(), "main", from.handle(), "main");
  if (backup == nullptr) throw to.error(sqlite3_extended_errcode(to.handle()));
  sqlite3_backup_step(backup, -1);
  const int result = sqlite3_backup_finish(backup);  // step's error, if it had one
  if (result != SQLITE_OK) throw to.error(result);
}

}  // namespace

std::span<const SchemaStep> schema_steps() {
  static const std::array kSteps{
      SchemaStep{1, [](Connection& connection) { connection.execute(kVersion1); }},
      SchemaStep{2, [](Connection& connection) { connection.execute(kVersion2); }},
  };
  return kSteps;
}

bool migrate(Connection& connection, const std::string& vfs, std::span<const SchemaStep> steps) {
  const int64_t newest = steps.back().to;
  const Found found = inspect(connection, newest);
  if (connection.text("PRAGMA journal_mode = WAL") != "wal") {
    throw Error(Code::kFailedPrecondition,
                "catalog " + connection.path() + ": its file system offers no shared memory (sqlite's WAL mode)");
  }
  if (found.version == newest && !found.empty) return false;
  if (!found.empty) copy(connection, connection.path() + ".v" + std::to_string(found.version) + ".bak", vfs);
  connection.execute("PRAGMA synchronous = FULL");
  connection.execute("BEGIN IMMEDIATE");
  try {
    const int64_t from = found.empty ? 0 : found.version;
    for (const SchemaStep& step : steps) {
      if (step.to > from) step.apply(connection);
    }
    connection.execute(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str());
    connection.execute(("PRAGMA user_version = " + std::to_string(newest)).c_str());
    connection.execute("COMMIT");
  } catch (...) {
    sqlite3_exec(connection.handle(), "ROLLBACK", nullptr, nullptr, nullptr);  // the first error is the one to tell
    throw;
  }
  return found.empty;
}

}  // namespace ipcs::catalog
