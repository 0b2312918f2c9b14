// From ingest to blob: a name that nobody sees before it is durable.
#include "ipcs/error.hpp"
#include "local_store.hpp"

namespace ipcs::local {

// Hides a path for as long as it lives, and keeps a second commit of the same digest waiting.
class LocalStore::Publication {
 public:
  // The caller holds publishing_mutex_, and `path` is not in publishing_.
  Publication(LocalStore& store, std::string path) : store_(store), path_(std::move(path)) {
    store_.publishing_.insert(path_);
    ++store_.publishing_count_;
  }
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;
  ~Publication() {
    if (stays_hidden_) return;
    const std::lock_guard lock(store_.publishing_mutex_);
    store_.publishing_.erase(path_);
    --store_.publishing_count_;
    store_.published_.notify_all();
  }
  void stay_hidden() noexcept { stays_hidden_ = true; }

 private:
  LocalStore& store_;
  const std::string path_;
  bool stays_hidden_ = false;
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

bool LocalStore::publish(std::string_view key, File& file, const DigestParts& digest, uint64_t size) {
  const std::string directory = blob_directory(digest.algorithm);
  const std::string from = ingest_path(key);
  const std::string path = blob_path(digest);
  ensure_directory(kBlobs, directory);

  std::unique_lock lock(publishing_mutex_);
  published_.wait(lock, [&] { return !publishing_.contains(path); });
  if (const auto found = file_system_->stat(path)) {
    if (!found->regular) throw Error(Code::kFailedPrecondition, file_system_->location() + "/" + path + ": is no regular file");
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
  try {
    sync_directory(directory);
  } catch (...) {
    if (!take_back(path, from)) publication.stay_hidden();
    throw;
  }
  return true;
}

}  // namespace ipcs::local
