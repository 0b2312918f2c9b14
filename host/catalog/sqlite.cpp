// Opening, statement cache and the translation of sqlite's result codes.
#include "catalog/sqlite.hpp"

#include <cerrno>
#include <cstring>

namespace ipcs::catalog {
namespace {

Code code_of(int result, int system_errno) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return Code::kPermissionDenied;
    default:
      if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS) return Code::kPermissionDenied;
      if (system_errno == ENOSPC || system_errno == EDQUOT) return Code::kResourceExhausted;
      return Code::kInternal;
  }
}

}  // namespace

Connection::Connection(const std::string& path, const std::string& vfs, bool create) : path_(path) {
  // The caller's lock makes sqlite's own mutex per connection superfluous.
  const int flags =
      SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* db = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &db, flags, vfs.empty() ? nullptr : vfs.c_str());
  db_.reset(db);
  if (result != SQLITE_OK) throw error(result);
  sqlite3_busy_timeout(db, 5000);  // for a visitor such as the sqlite3 shell; our own connections never collide
}

Error Connection::error(int result) const {
  const int system_errno = db_ ? sqlite3_system_errno(db_.get()) : 0;
  std::string message = "catalog " + path_ + ": " + sqlite3_errstr(result);
  // sqlite keeps the detail of the connection's last failure only; after a later call it would be of something else.
  if (db_ && sqlite3_extended_errcode(db_.get()) == result) {
    const std::string detail = sqlite3_errmsg(db_.get());
    if (detail != sqlite3_errstr(result)) message += ": " + detail;
    const int kind = result & 0xff;
    if (system_errno != 0 && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_FULL)) {
      message += std::string(" (") + std::strerror(system_errno) + ")";
    }
  }
  return Error(code_of(result, system_errno), message);
}

Connection::Prepared Connection::prepare(const char* sql, unsigned flags) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(db_.get(), sql, -1, flags, &statement, nullptr);
  if (result != SQLITE_OK) throw error(result);
  return Prepared(statement);
}

sqlite3_stmt* Connection::cached(const char* sql) {
  auto at = cache_.find(sql);
  if (at == cache_.end()) at = cache_.emplace(sql, prepare(sql, SQLITE_PREPARE_PERSISTENT)).first;
  return at->second.get();
}

void Connection::execute(const char* sql) {
  const int result = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) throw error(result);
}

int64_t Connection::integer(const char* sql) {
  const Prepared statement = prepare(sql, 0);
  const int result = sqlite3_step(statement.get());
  if (result != SQLITE_ROW) throw error(result);
  return sqlite3_column_int64(statement.get(), 0);
}

std::string Connection::text(const char* sql) {
  const Prepared statement = prepare(sql, 0);
  const int result = sqlite3_step(statement.get());
  if (result != SQLITE_ROW) throw error(result);
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
  return data == nullptr ? std::string() : std::string(data, sqlite3_column_bytes(statement.get(), 0));
}

Statement::Statement(Connection& connection, const char* sql)
    : connection_(connection), statement_(connection.cached(sql)) {}

Statement::~Statement() {
  sqlite3_reset(statement_);  // repeats step()'s error, which was reported
  if (bound_ > 0) sqlite3_clear_bindings(statement_);
}

void Statement::check(int result) {
  if (result != SQLITE_OK) throw connection_.error(result);
}

Statement& Statement::bind(int64_t value) {
  check(sqlite3_bind_int64(statement_, ++bound_, value));
  return *this;
}

Statement& Statement::text(std::string_view value) {
  check(sqlite3_bind_text64(statement_, ++bound_, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::blob(std::string_view bytes) {
  // A null pointer would bind NULL.
  check(sqlite3_bind_blob64(statement_, ++bound_, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::null() {
  check(sqlite3_bind_null(statement_, ++bound_));
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  throw connection_.error(result);
}

int Statement::run() {
  while (step()) {
  }
  return sqlite3_changes(connection_.handle());
}

std::string_view Statement::bytes(int column) const noexcept {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return data == nullptr ? std::string_view()
                         : std::string_view(data, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

}  // namespace ipcs::catalog
