// What a Catalog consists of: its connections, who may use them when, and how the log reaches the disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>

#include "catalog/catalog.hpp"
#include "catalog/file_lock.hpp"
#include "catalog/sqlite.hpp"

namespace ipcs::catalog {

// Whether a write returns only when it is safe from a power loss.
enum class Durable { kNo, kYes };

// Four connections to one file in WAL mode:
// - writer_: all changes, one transaction at a time; reads of the thread that is in a transaction
// - reader_: look-ups of single rows; waits neither for the writer nor for the disk
// - scanner_: pages of listings and totals, so that they hold up no look-up
// - keeper_: fsyncs the log for what is to be durable, outside the writer's lock, one fsync for all that wait; and, on a
//   thread of its own, copies the log into the file when it has grown, so that no write pays for that
// Lock order: write_mutex_, then any one of the others.
class Catalog::State {
 public:
  State(const std::string& path, const Options& options);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Calls body(Connection&) with a connection to read single rows from.
  template <class Body>
  auto read(Body&& body) {
    if (in_own_transaction()) return body(writer_);
    const std::lock_guard lock(read_mutex_);
    return body(reader_);
  }

  // The same for reads of many rows.
  template <class Body>
  auto scan(Body&& body) {
    if (in_own_transaction()) return body(writer_);
    const std::lock_guard lock(scan_mutex_);
    return body(scanner_);
  }

  // Calls body(Connection&) in a transaction: that of the calling thread if it is in one, else one of its own.
  template <class Body>
  auto write(Durable durable, Body&& body) {
    using Result = std::invoke_result_t<Body, Connection&>;
    if constexpr (std::is_void_v<Result>) {
      transaction(durable, [&] { body(writer_); });
    } else {
      Result result{};
      transaction(durable, [&] { result = body(writer_); });
      return result;
    }
  }

  // Runs `body` in a transaction as above. An error in it undoes the whole of the outermost one.
  void transaction(Durable durable, const std::function<void()>& body);

  // For use in a write() only.
  // The transaction returns when it is safe from a power loss.
  void want_durable() noexcept { durable_wanted_ = true; }
  // Drops the blob's row when nothing holds it. Returns whether it did.
  bool drop_unheld(const std::string& key);
  // Notes that the blob's row goes with this transaction.
  void note_dropped_row(const std::string& key);
  // Whether a power loss now could bring back a row of the blob, which has none.
  bool row_may_return(const std::string& key) const;

  // False once an fsync has failed.
  bool sync_works() const noexcept { return !sync_failed_; }

  bool created() const noexcept { return created_; }

 private:
  bool in_own_transaction() const noexcept { return owner_.load() == std::this_thread::get_id(); }
  void outermost(Durable durable, const std::function<void()>& body);
  void sync_log(uint64_t commit);
  sqlite3_file* log_file();
  void keep();
  void checkpoint();
  void checkpoint_once();

  const std::string path_;
  const uint32_t checkpoint_pages_;
  FileLock lock_;
  Connection writer_;
  const bool created_;  // found out by migrating the file, before the other connections open it
  Connection reader_;
  Connection scanner_;
  Connection keeper_;

  std::mutex write_mutex_;
  std::atomic<std::thread::id> owner_{};  // who is in a transaction; set and cleared under write_mutex_
  bool doomed_ = false;                   // an error undoes the transaction; owner's
  bool durable_wanted_ = false;           // owner's
  std::atomic<uint64_t> commits_{0};
  // Rows of blobs that went: digest key → number of the commit; under write_mutex_. Forgotten once that is safe. Where
  // they are too many, any row that went up to commit dropped_any_ counts as one of them.
  std::unordered_map<std::string, uint64_t> dropped_rows_;
  uint64_t dropped_any_ = 0;

  std::mutex read_mutex_;
  std::mutex scan_mutex_;

  std::mutex sync_mutex_;
  std::atomic<uint64_t> synced_{0};  // commits_ that are safe; changed under sync_mutex_
  // After a failed fsync the kernel may have dropped the pages and a second one would lie.
  std::atomic<bool> sync_failed_{false};

  std::mutex keeper_mutex_;
  std::condition_variable wake_keeper_;
  bool log_is_long_ = false;
  bool stopping_ = false;
  std::atomic<uint32_t> log_pages_{0};
  std::thread keeper_thread_;
};

}  // namespace ipcs::catalog
