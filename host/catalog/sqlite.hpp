// Thin RAII over sqlite3's C interface: a connection with cached statements, and one run of such a statement.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ipcs/error.hpp"

namespace ipcs::catalog {

// One connection to a database file. Movable by pointer only; one thread at a time (the caller locks).
class Connection {
 public:
  // Opens `path`, which is created when `create`, through the VFS of that name (empty: the default one).
  Connection(const std::string& path, const std::string& vfs, bool create);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements that give no rows.
  void execute(const char* sql);
  // First column of the first row of a query that is not kept prepared.
  int64_t integer(const char* sql);
  std::string text(const char* sql);

  sqlite3* handle() const noexcept { return db_.get(); }
  const std::string& path() const noexcept { return path_; }

  // What the connection's last failure (sqlite result code `result`) means to a caller: an Error naming the file.
  Error error(int result) const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;

  Prepared prepare(const char* sql, unsigned flags);
  sqlite3_stmt* cached(const char* sql);

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
  std::unordered_map<const char*, Prepared> cache_;  // by the address of the literal; gone before db_
};

// One run of a cached statement: bind in order, step, read columns. Resets the statement at its end. `sql` must be a
// string literal, and bound bytes must stay where they are until then. Columns are valid until the next step().
class Statement {
 public:
  Statement(Connection& connection, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int64_t value);
  Statement& text(std::string_view value);
  Statement& blob(std::string_view bytes);
  Statement& null();

  // True when there is a row.
  bool step();
  // Runs a statement that gives no rows; returns how many rows it changed.
  int run();

  int64_t integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  bool is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string_view bytes(int column) const noexcept;  // of a BLOB or TEXT

 private:
  void check(int result);

  Connection& connection_;
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

}  // namespace ipcs::catalog
