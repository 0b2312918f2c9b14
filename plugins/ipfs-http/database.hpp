// Thin RAII over sqlite3: a connection, and one run of a statement that it keeps prepared.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ipcs::ipfs_http {

// One connection to a database file. One thread at a time. Functions throw Error: kResourceExhausted when the disk is
// full, kDataLoss when the file is damaged, otherwise kInternal; all name the file.
class Database {
 public:
  explicit Database(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Statements that give no rows.
  void execute(const char* sql);

  // One run: bind in order, step, read columns. `sql` is a literal; bound bytes stay where they are until the run's end.
  class Run {
   public:
    Run(Database& database, const char* sql);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    Run& bind(int64_t value);
    Run& bind(std::string_view text);
    Run& bind(std::span<const uint8_t> blob);
    bool step();   // whether there is a row
    int finish();  // for statements that give none; how many rows were changed
    int64_t integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
    std::string text(int column) const;
    std::vector<uint8_t> blob(int column) const;

   private:
    Database& database_;
    sqlite3_stmt* statement_;
    int bound_ = 0;
  };

 private:
  struct Close {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  void check(int result) const;
  sqlite3_stmt* prepared(const char* sql);

  const std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
  std::unordered_map<const char*, std::unique_ptr<sqlite3_stmt, Finalize>> statements_;  // gone before db_
};

// A transaction: rolled back unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace ipcs::ipfs_http
