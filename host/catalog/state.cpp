// Opening, transactions, the fsync of the log and its copying into the file.
#include "catalog/state.hpp"

#include "catalog/rows.hpp"
#include "catalog/schema.hpp"

namespace ipcs::catalog {
namespace {

// A log this many times the wanted size is copied while writers wait, so that it can start again from its beginning.
constexpr uint32_t kPatience = 4;
constexpr size_t kDroppedRows = 16384;  // that are remembered one by one

void configure(Connection& connection) {
  // NORMAL: the log is synced before it is copied and never at a commit. The keeper alone copies it.
  connection.execute("PRAGMA synchronous = NORMAL");
  connection.execute("PRAGMA wal_autocheckpoint = 0");
  connection.execute("PRAGMA journal_size_limit = 16777216");  // bytes of the log file kept when it starts again
  connection.execute("PRAGMA secure_delete = OFF");
  connection.execute("PRAGMA temp_store = MEMORY");
  connection.execute("PRAGMA trusted_schema = OFF");
}

}  // namespace

Catalog::State::State(const std::string& path, const Options& options)
    : path_(path),
      checkpoint_pages_(options.checkpoint_pages),
      lock_(path + ".lock", "catalog " + path),
      writer_(path, options.vfs, true),
      created_(migrate(writer_, options.vfs, schema_steps())),
      reader_(path, options.vfs, false),
      scanner_(path, options.vfs, false),
      keeper_(path, options.vfs, false) {
  for (Connection* connection : {&writer_, &reader_, &scanner_, &keeper_}) configure(*connection);
  keeper_.integer("PRAGMA schema_version");  // opens its handle on the log
  sqlite3_wal_hook(
      writer_.handle(),
      [](void* state, sqlite3*, const char*, int pages) {
        static_cast<State*>(state)->log_pages_ = static_cast<uint32_t>(pages);
        return SQLITE_OK;
      },
      this);
  // A daemon that was killed may have left commits in the log that are not safe. Everything from here on reckons with
  // those of this process only.
  sync_log(++commits_);
  keeper_thread_ = std::thread([this] { keep(); });
}

Catalog::State::~State() {
  {
    const std::lock_guard lock(keeper_mutex_);
    stopping_ = true;
  }
  wake_keeper_.notify_one();
  keeper_thread_.join();
}

void Catalog::State::transaction(Durable durable, const std::function<void()>& body) {
  if (!in_own_transaction()) return outermost(durable, body);
  if (doomed_) throw Error(Code::kAborted, "catalog " + path_ + ": an earlier error undoes this transaction");
  if (durable == Durable::kYes) durable_wanted_ = true;
  try {
    body();
  } catch (...) {
    doomed_ = true;
    throw;
  }
}

void Catalog::State::outermost(Durable durable, const std::function<void()>& body) {
  uint64_t commit = 0;
  bool durably = false;
  {
    const std::lock_guard lock(write_mutex_);
    Statement(writer_, "BEGIN IMMEDIATE").run();
    owner_ = std::this_thread::get_id();
    doomed_ = false;
    durable_wanted_ = durable == Durable::kYes;
    try {
      body();
      if (doomed_) throw Error(Code::kAborted, "catalog " + path_ + ": an error in the transaction undid it");
      Statement(writer_, "COMMIT").run();
    } catch (...) {
      owner_ = std::thread::id();
      // Fails when sqlite has rolled back by itself; the first error is the one to tell.
      sqlite3_exec(writer_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
    owner_ = std::thread::id();
    commit = ++commits_;
    durably = durable_wanted_;
  }
  if (durably) sync_log(commit);
  if (log_pages_ >= checkpoint_pages_) {
    {
      const std::lock_guard lock(keeper_mutex_);
      log_is_long_ = true;
    }
    wake_keeper_.notify_one();
  }
}

sqlite3_file* Catalog::State::log_file() {
  sqlite3_file* file = nullptr;
  const int result = sqlite3_file_control(keeper_.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
  if (result != SQLITE_OK || file == nullptr || file->pMethods == nullptr) {
    throw Error(Code::kInternal, "catalog " + path_ + ": the write-ahead log is not open");
  }
  return file;
}

// The commit is wholly in the log, or the log was synced and copied into the file since: either way it is safe once
// the log is synced. This is what synchronous = FULL does inside COMMIT, but there all other writers would wait.
void Catalog::State::sync_log(uint64_t commit) {
  const std::lock_guard lock(sync_mutex_);
  if (sync_failed_) {
    throw Error(Code::kInternal, "catalog " + path_ +
                                     ": an earlier fsync failed, so no pin and no claim on another's blob can be made "
                                     "safe; restart ipcsd once the disk is in order");
  }
  if (synced_ >= commit) return;  // another's fsync came after this commit
  const uint64_t covered = commits_;
  sqlite3_file* log = log_file();
  const int result = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (result != SQLITE_OK) {
    sync_failed_ = true;
    throw Error(Code::kInternal, "catalog " + path_ + ": fsync of the write-ahead log: " + sqlite3_errstr(result));
  }
  synced_ = covered;
}

bool Catalog::State::drop_unheld(const std::string& key) {
  if (!catalog::drop_unheld(writer_, key)) return false;
  note_dropped_row(key);
  return true;
}

void Catalog::State::note_dropped_row(const std::string& key) {
  const uint64_t commit = commits_ + 1;  // of this transaction
  if (dropped_rows_.size() >= kDroppedRows) {
    std::erase_if(dropped_rows_, [safe = synced_.load()](const auto& row) { return row.second <= safe; });
  }
  if (dropped_rows_.size() >= kDroppedRows) {
    dropped_rows_.clear();
    dropped_any_ = commit;
  }
  dropped_rows_.insert_or_assign(key, commit);
}

bool Catalog::State::row_may_return(const std::string& key) const {
  const uint64_t safe = synced_;
  if (dropped_any_ > safe) return true;
  const auto found = dropped_rows_.find(key);
  return found != dropped_rows_.end() && found->second > safe;
}

void Catalog::State::keep() {
  std::unique_lock lock(keeper_mutex_);
  for (;;) {
    wake_keeper_.wait(lock, [this] { return log_is_long_ || stopping_; });
    if (stopping_) return;
    log_is_long_ = false;
    lock.unlock();
    checkpoint();
    lock.lock();
  }
}

void Catalog::State::checkpoint() {
  checkpoint_once();
  if (log_pages_ < kPatience * checkpoint_pages_) return;
  // Writers have been adding to the log all the while. Little is left to copy now; then the next one begins anew.
  const std::lock_guard lock(write_mutex_);
  checkpoint_once();
}

// An error other than of fsync is let go: the log stays and holds everything, and the next write that finds it long
// tries again. That write itself fails when the disk is full.
void Catalog::State::checkpoint_once() {
  const std::lock_guard lock(sync_mutex_);
  if (sync_failed_) return;
  const int result = sqlite3_wal_checkpoint_v2(keeper_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (result == SQLITE_IOERR_FSYNC) sync_failed_ = true;
}

}  // namespace ipcs::catalog
