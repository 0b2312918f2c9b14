// The local backend: every blob and every ingest is one file in the store's directory.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "config.hpp"
#include "directory_sync.hpp"
#include "file_system.hpp"
#include "ipcs/plugin.hpp"
#include "journal.hpp"
#include "layout.hpp"

namespace ipcs::local {

// An opened store. Contracts are those of content_store.h. Promise on top: a blob that stat, open or a listing shows is
// durable; one whose name is not synced yet stays hidden. Outlives its readers, ingests and cursors.
class LocalStore final : public plugin::ContentStore {
 public:
  // Makes the directories that are missing unless `read_only`. `fresh_id` becomes the store's id when it has none:
  // 1 to 63 letters, digits and '-'. `warn` is told what an operator should know, from any thread. Throws Error
  // kFailedPrecondition when the directory's id file is damaged.
  LocalStore(
      std::unique_ptr<FileSystem> file_system, Config config, bool read_only, std::string_view fresh_id,
      const plugin::Call& call, std::function<void(const std::string&)> warn = [](const std::string&) {});

  plugin::StoreInfo info(const plugin::Call& call) override;
  plugin::Entry stat_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Reader> open_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Cursor> list_blobs(const plugin::Call& call) override;
  void remove_blob(const plugin::Call& call, std::string_view digest) override;
  void quarantine_blob(const plugin::Call& call, std::string_view digest) override;
  std::unique_ptr<plugin::Ingest> open_ingest(const plugin::Call& call, std::string_view key, bool create,
                                              uint64_t expected_size) override;
  std::unique_ptr<plugin::Cursor> list_ingests(const plugin::Call& call) override;
  void discard_ingest(const plugin::Call& call, std::string_view key) override;

  // ---- for LocalIngest ----

  // Counts `bytes` as used before they are written. Throws Error kResourceExhausted beyond the quota.
  void reserve(std::string_view key, uint64_t bytes);
  void release(uint64_t bytes) noexcept { used_.fetch_sub(bytes); }
  bool syncs() const noexcept { return config_.fsync; }
  // Whether a sound blob of this digest, `size` bytes long, is there and durable.
  bool has_blob(const DigestParts& digest, uint64_t size);
  // Makes the bytes of a small ingest durable as the blob's, until its file is. Nothing: sync the file.
  std::optional<Journal::Hold> journal(std::string_view key, const DigestParts& digest, File& file, uint64_t size);
  // Gives the ingest `key` the name of the blob. With `journaled` the blob is durable already, otherwise the ingest is
  // synced, and its new name will be. False when the blob is there already. After an Error the ingest has its old name.
  bool publish(std::string_view key, File& file, const DigestParts& digest, uint64_t size, bool journaled);
  // Removes the file of an ingest of `size` bytes.
  void drop_ingest(std::string_view key, uint64_t size);

 private:
  class Publication;

  void prepare_directories();
  void replay(const Unfinished& unfinished);
  void finish(const Unfinished& unfinished);
  void open_journal(const std::function<void(const std::string&)>& warn);
  void restore(const DigestParts& digest, std::span<const uint8_t> bytes);
  bool is_sound(const DigestParts& digest, const std::optional<std::vector<uint8_t>>& bytes);
  bool holds(const std::string& path, std::span<const uint8_t> bytes);
  void load_id(std::string_view fresh_id);
  void count_used(const plugin::Call& call);
  void require_writable(std::string_view subject) const;
  // Whether so many bytes used of so many are the mark from which on new ingests are refused.
  bool reached(uint64_t used, uint64_t total) const;
  bool is_full(const Space& space) const;
  bool is_hidden(const std::string& path);
  // Gives a blob's file its ingest's name again. False when that fails: then the blob stays hidden and does no harm.
  bool take_back(const std::string& path, const std::string& from) noexcept;
  FileInfo blob_info(std::string_view digest);
  void move_to_quarantine(const DigestParts& digest, uint64_t size);
  void ensure_directory(const std::string& parent, const std::string& path);
  DirectorySync& directory_sync(const std::string& path);
  void sync_directory(const std::string& path);

  const std::unique_ptr<FileSystem> file_system_;
  const Config config_;
  const bool read_only_;
  std::string id_;
  std::atomic<uint64_t> used_{0};  // bytes of blobs and ingests

  // Paths of blobs that are being published: named perhaps, but not yet durable. True: stranded there by a disk that
  // neither synced the name nor took it back.
  std::mutex publishing_mutex_;
  std::condition_variable published_;
  std::map<std::string, bool> publishing_;
  std::atomic<size_t> publishing_count_{0};  // of publishing_, so that readers need no lock while there are none

  std::mutex directories_mutex_;
  std::map<std::string, DirectorySync> syncs_;  // one a directory; nodes stay where they are
  std::set<std::string> durable_directories_;   // made and synced into their parent

  // Of a store that can't be written to: digests whose files are not what the journal says; it says there is none where
  // it has no bytes. Fixed once the store is open.
  Unfinished unfinished_;
  bool finished_ = false;  // what the journal said is done

  std::optional<Journal> journal_;  // last: its thread uses all of the above
};

}  // namespace ipcs::local
