// What a start does with commits whose files the run before did not sync.
#include <algorithm>

#include "ipcs/error.hpp"
#include "local_store.hpp"

namespace ipcs::local {

// Whether the blob's file, which is there, is what the journal says: it holds `bytes` or, where those are not known, what
// its digest names.
bool LocalStore::is_sound(const DigestParts& digest, const std::optional<std::vector<uint8_t>>& bytes) {
  const std::unique_ptr<File> file = file_system_->open(blob_path(digest), OpenMode::kRead);
  if (!file) return false;
  const uint64_t size = file->info().size;
  if (bytes && size != bytes->size()) return false;
  // A blob that was removed has come again, through the journal if it is small.
  if (size > Journal::kLargestBlob) return true;
  std::vector<uint8_t> found(static_cast<size_t>(size));
  found.resize(file->read_at(0, found));
  return bytes ? found == *bytes : names(digest, found);
}

void LocalStore::replay(const Unfinished& unfinished) {
  if (!read_only_) file_system_->unlink(kRestored);  // of a start that was cut off
  if (unfinished.empty()) return;
  std::vector<std::string> to_sync;
  std::set<std::string> changed;  // directories
  for (const auto& [digest, bytes] : unfinished) {
    const DigestParts parts = split_digest(digest);
    const std::string path = blob_path(parts);
    const auto info = file_system_->stat(path);
    if (info && !info->regular) continue;  // somebody else's
    const bool sound = info && is_sound(parts, bytes);
    if (read_only_) {
      if (!sound) unfinished_.emplace(digest, bytes);
      continue;
    }
    if (!sound && info && file_system_->unlink(path)) changed.insert(blob_directory(parts.algorithm));
    if (!sound && bytes) restore(parts, *bytes);
    to_sync.push_back(digest);
  }
  for (const std::string& directory : changed) sync_directory(directory);
  if (!read_only_) sync_blobs(*file_system_, to_sync, [this](const std::string& path) { sync_directory(path); });
}

void LocalStore::restore(const DigestParts& digest, std::span<const uint8_t> bytes) {
  ensure_directory(kBlobs, blob_directory(digest.algorithm));
  file_system_->unlink(kRestored);
  const std::unique_ptr<File> file = file_system_->open(kRestored, OpenMode::kCreate);
  file->write_at(0, bytes);
  file->make_read_only();
  file->sync();
  file_system_->rename_no_replace(kRestored, blob_path(digest));
}

}  // namespace ipcs::local
