// Calls of sqlite3 and what their results mean.
#include "database.hpp"

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {

Database::Database(const std::string& path) : path_(path) {
  sqlite3* db = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  db_.reset(db);
  check(result);
  sqlite3_busy_timeout(db, 10'000);
}

void Database::check(int result) const {
  if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
  Code code = Code::kInternal;
  if (result == SQLITE_FULL) code = Code::kResourceExhausted;
  if (result == SQLITE_CORRUPT || result == SQLITE_NOTADB) code = Code::kDataLoss;
  throw Error(code, path_ + ": " + (db_ ? sqlite3_errmsg(db_.get()) : sqlite3_errstr(result)));
}

void Database::execute(const char* sql) { check(sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr)); }

sqlite3_stmt* Database::prepared(const char* sql) {
  auto& statement = statements_[sql];
  if (!statement) {
    sqlite3_stmt* made = nullptr;
    check(sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr));
    statement.reset(made);
  }
  return statement.get();
}

Database::Run::Run(Database& database, const char* sql) : database_(database), statement_(database.prepared(sql)) {}

Database::Run::~Run() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Database::Run& Database::Run::bind(int64_t value) {
  database_.check(sqlite3_bind_int64(statement_, ++bound_, value));
  return *this;
}

Database::Run& Database::Run::bind(std::string_view text) {
  database_.check(sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_STATIC));
  return *this;
}

bool Database::Run::step() {
  const int result = sqlite3_step(statement_);
  database_.check(result);
  return result == SQLITE_ROW;
}

Database::Run& Database::Run::bind(std::span<const uint8_t> blob) {
  database_.check(sqlite3_bind_blob64(statement_, ++bound_, blob.data(), blob.size(), SQLITE_STATIC));
  return *this;
}

int Database::Run::finish() {
  while (step()) {
  }
  return sqlite3_changes(database_.db_.get());
}

std::string Database::Run::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes == nullptr ? "" : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

std::vector<uint8_t> Database::Run::blob(int column) const {
  const auto* bytes = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? std::vector<uint8_t>() : std::vector<uint8_t>(bytes, bytes + sqlite3_column_bytes(statement_, column));
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const Error&) {
    // sqlite has rolled back by itself.
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace ipcs::ipfs_http
