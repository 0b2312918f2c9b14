// From ingest to blob: a name that nobody sees before it is durable.
#include "ipcs/error.hpp"
#include "local_store.hpp"

namespace ipcs::local {

// Hides a path for as long as it lives, and keeps a second commit of the same digest waiting.
class LocalStore::Publication {
 public:
  // The caller holds publishing_mutex_, and `path` is not in publishing_.
  Publication(LocalStore& store, std::string path) : store_(store), path_(std::move(path)) {
    store_.publishing_.emplace(path_, false);
    ++store_.publishing_count_;
  }
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;
  ~Publication() {
    const std::lock_guard lock(store_.publishing_mutex_);
    if (stranded_) {
      store_.publishing_.find(path_)->second = true;
    } else {
      store_.publishing_.erase(path_);
      --store_.publishing_count_;
    }
    store_.published_.notify_all();
  }
  // The path stays hidden until the store is opened again.
  void strand() noexcept { stranded_ = true; }

 private:
  LocalStore& store_;
  const std::string path_;
  bool stranded_ = false;
};

// Asked after the file has been found: a publication that ended in between has made the name durable.
bool LocalStore::is_hidden(const std::string& path) {
  if (publishing_count_ == 0) return false;
  const std::lock_guard lock(publishing_mutex_);
  return publishing_.contains(path);
}

bool LocalStore::has_blob(const DigestParts& digest, uint64_t size) {
  const std::string path = blob_path(digest);
  const auto info = file_system_->stat(path);
  return info && info->regular && info->size == size && !is_hidden(path);
}

bool LocalStore::take_back(const std::string& path, const std::string& from) noexcept {
  try {
    return file_system_->rename_no_replace(path, from);
  } catch (...) {
    return false;
  }
}

std::optional<Journal::Hold> LocalStore::journal(std::string_view key, const DigestParts& digest, File& file,
                                                 uint64_t size) {
  if (!journal_ || size > Journal::kLargestBlob) return std::nullopt;
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  if (file.read_at(0, bytes) != bytes.size()) return std::nullopt;
  return journal_->commit(digest, key, bytes);
}

bool LocalStore::publish(std::string_view key, File& file, const DigestParts& digest, uint64_t size, bool journaled) {
  const std::string directory = blob_directory(digest.algorithm);
  const std::string from = ingest_path(key);
  const std::string path = blob_path(digest);
  ensure_directory(kBlobs, directory);

  std::unique_lock lock(publishing_mutex_);
  const auto other = [&] { return publishing_.find(path); };
  published_.wait(lock, [&] { return other() == publishing_.end() || other()->second; });
  if (other() != publishing_.end())
    throw Error(Code::kDataLoss, file_system_->location() + "/" + path + ": an earlier commit failed half way");
  if (const auto found = file_system_->stat(path)) {
    if (!found->regular)
      throw Error(Code::kFailedPrecondition, file_system_->location() + "/" + path + ": is no regular file");
    if (found->size == size) return false;
    // The new bytes are proved by their digest, so a blob of another size is damaged.
    move_to_quarantine(digest, found->size);
  }
  Publication publication(*this, path);
  lock.unlock();

  if (!file_system_->rename_no_replace(from, path)) {
    sync_directory(directory);  // another program's blob, which came just now
    return false;
  }
  file.make_read_only();
  if (journaled) return true;
  try {
    sync_directory(directory);
  } catch (...) {
    if (!take_back(path, from)) publication.strand();
    throw;
  }
  return true;
}

}  // namespace ipcs::local
