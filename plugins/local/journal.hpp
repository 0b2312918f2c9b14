// Makes commits of small blobs durable by one sync of one file, and their own files by and by.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "file_system.hpp"
#include "journal_format.hpp"
#include "layout.hpp"

namespace ipcs::local {

// What a run that did not end well left of a blob in the journal.
struct UnfinishedBlob {
  std::optional<std::vector<uint8_t>> bytes;  // they hash to the digest; nothing when the blob was removed last
  std::vector<std::string> keys;              // of the ingests that became the blob
};
using Unfinished = std::map<std::string, UnfinishedBlob>;  // by digest

// Reads it; changes nothing. Throws Error when a file can't be read or is of a newer version.
Unfinished read_unfinished(FileSystem& file_system);

// Removes the files, durably. The caller has done what read_unfinished() told.
void remove_journal(FileSystem& file_system, const std::function<void(const std::string&)>& sync_directory);

// Makes these blobs durable, those of them that are there. `sync_directory` makes a directory's names durable or
// throws.
void sync_blobs(FileSystem& file_system, const std::vector<std::string>& digests,
                const std::function<void(const std::string&)>& sync_directory);

// Two files of equal size that take turns: one takes records, while the blobs of the other's are synced where they
// belong, after which its records count no longer. The files are made by a thread as soon as there is a journal.
// [thread-safe]
class Journal {
 public:
  // Blobs up to this size are worth writing twice.
  static constexpr uint64_t kLargestBlob = 64 << 10;
  static constexpr uint64_t kLeastSize = 64 << 10;

  struct Options {
    uint64_t size = 4 << 20;  // bytes of both files together; at least kLeastSize
    // False: no thread; whoever finds the journal full or not yet made does what is needed. For tests.
    bool background = true;
    // So long after the last commit its blobs are synced: the kernel has begun to write most of them by then.
    std::chrono::milliseconds idle{3000};
    std::function<void(const std::string&)> warn = [](const std::string&) {};
  };
  using SyncDirectory = std::function<void(const std::string& path)>;

  // Forgets what the files hold, durably: what read_unfinished() told is done. `file_system` outlives the object.
  // `sync_directory` makes a directory's names durable or throws Error. Throws Error.
  Journal(FileSystem& file_system, SyncDirectory sync_directory, Options options);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  // Leaves no record that counts, unless the disk fails.
  ~Journal();

  // Keeps a record until its blob's file has its name, however that ends.
  class Hold {
   public:
    Hold(Journal& journal, size_t half) noexcept : journal_(&journal), half_(half) {}
    Hold(Hold&& other) noexcept : journal_(std::exchange(other.journal_, nullptr)), half_(other.half_) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (journal_ != nullptr) journal_->release(half_);
    }

   private:
    Journal* journal_;
    size_t half_;
  };

  // Makes the blob that the ingest `key` becomes durable, whatever becomes of its file. Nothing when the journal can't
  // take it: then the caller syncs the file itself. Concurrent calls share a sync.
  std::optional<Hold> commit(const DigestParts& digest, std::string_view key, std::span<const uint8_t> bytes);

  // Called before a blob's file is removed: its record, if there is one, is not to bring it back; after a power loss
  // that promise holds if `durably`.
  void note_removal(const DigestParts& digest, bool durably);

  // Makes durable where it belongs what has been committed so far, and forgets the records. Throws nothing: when the
  // disk fails, the records stay, and the journal takes no more.
  void checkpoint() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kReady, kCurrent, kSealed };
  enum class Answer : uint32_t { kNone, kLead, kWritten, kRefused };

  struct Half {
    std::unique_ptr<File> file;
    uint64_t epoch = 0;
    State state = State::kReady;
    uint64_t sequence = 0;
    uint64_t end = kJournalPage;            // of the records
    size_t held = 0;                        // records whose blobs may not have their names yet
    std::unordered_set<std::string> blobs;  // digests
  };
  // One that waits for its record to be written; used again by others, so it may be woken without a reason.
  struct Request {
    RecordKind kind = RecordKind::kBlob;
    DigestParts digest;
    std::string_view key;
    std::span<const uint8_t> bytes;
    bool sync = false;
    std::atomic<Answer> answer{Answer::kNone};
    size_t half = 0;
  };

  // Returns the half that took the record; nothing when it was refused.
  std::optional<size_t> write(RecordKind kind, const DigestParts& digest, std::string_view key,
                              std::span<const uint8_t> bytes, bool sync);
  void write_batch(std::unique_lock<std::mutex>& lock);
  void hand_over();
  static void tell(Request& request, Answer answer) noexcept;
  bool switch_halves();
  bool has_records(const Half& half) const { return half.end > kJournalPage; }
  void begin_epoch(Half& half);
  void release(size_t half) noexcept;
  void checkpoint_sealed(std::unique_lock<std::mutex>& lock);
  void checkpoint_halves(bool current) noexcept;
  bool has_room();
  void make_files();
  bool try_to_make_files() noexcept;
  void want_files(std::unique_lock<std::mutex>& lock);
  void work();
  void give_up(const std::string& why) noexcept;
  std::string path(size_t half) const;

  FileSystem& file_system_;
  const SyncDirectory sync_directory_;
  const Options options_;
  const uint64_t half_size_;  // bytes of one file

  std::mutex checkpoint_mutex_;  // taken before mutex_: one checkpoint at a time
  std::mutex mutex_;             // guards all that follows; not held during a write or a sync
  std::condition_variable changed_;
  std::array<Half, 2> halves_;
  size_t current_ = 0;
  uint64_t next_epoch_ = 1;
  std::deque<Request> requests_;  // all there are
  std::vector<Request*> spare_;   // of these, not in use
  std::vector<Request*> queue_;
  std::vector<Request*> batch_;  // the leader's
  bool running_ = false;         // there is a leader
  bool pausing_ = false;         // a checkpoint waits for it to end
  bool made_ = false;            // the files are there
  bool broken_ = false;          // takes no more records
  std::vector<uint8_t> buffer_;  // the leader's

  std::thread worker_;
  std::condition_variable work_;
  bool wanted_ = false;  // the files are
  bool warned_ = false;  // that they could not be made; the worker's
  bool stopping_ = false;
  Clock::time_point last_commit_;
  Clock::time_point next_try_;  // of making the files
};

}  // namespace ipcs::local
