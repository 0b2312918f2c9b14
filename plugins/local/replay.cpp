// What a start does with commits whose files the run before did not sync.
#include <algorithm>

#include "ipcs/error.hpp"
#include "local_store.hpp"

namespace ipcs::local {

// Whether a file is there and holds just these bytes.
bool LocalStore::holds(const std::string& path, std::span<const uint8_t> bytes) {
  const std::unique_ptr<File> file = file_system_->open(path, OpenMode::kRead);
  if (!file || file->info().size != bytes.size()) return false;
  std::vector<uint8_t> found(bytes.size());
  return file->read_at(0, found) == found.size() && std::equal(found.begin(), found.end(), bytes.begin());
}

// Whether the blob's file, which is there, is what the journal says: it holds `bytes` or, of a blob that was removed,
// what its digest names.
bool LocalStore::is_sound(const DigestParts& digest, const std::optional<std::vector<uint8_t>>& bytes) {
  if (bytes) return holds(blob_path(digest), *bytes);
  const std::unique_ptr<File> file = file_system_->open(blob_path(digest), OpenMode::kRead);
  if (!file) return false;
  const uint64_t size = file->info().size;
  if (size > Journal::kLargestBlob) return true;  // no blob of the journal
  std::vector<uint8_t> found(static_cast<size_t>(size));
  found.resize(file->read_at(0, found));
  return names(digest, found);
}

void LocalStore::replay(const Unfinished& unfinished) {
  if (!read_only_) {
    try {
      finish(unfinished);
      finished_ = true;
      return;
    } catch (const Error& error) {
      if (error.code() != Code::kPermissionDenied && error.code() != Code::kResourceExhausted) throw;
      // A disk that is full or can't be written to: the journal is kept, and the next start tries again.
    }
  }
  for (const auto& [digest, blob] : unfinished) {
    const DigestParts parts = split_digest(digest);
    const auto info = file_system_->stat(blob_path(parts));
    if (info && (!info->regular || is_sound(parts, blob.bytes))) continue;
    unfinished_.emplace(digest, blob);
  }
}

void LocalStore::finish(const Unfinished& unfinished) {
  if (file_system_->stat(kRestored)) file_system_->unlink(kRestored);  // of a start that was cut off
  if (unfinished.empty()) return;
  std::vector<std::string> to_sync;
  std::set<std::string> changed;  // directories
  for (const auto& [digest, blob] : unfinished) {
    const DigestParts parts = split_digest(digest);
    const std::string path = blob_path(parts);
    const auto info = file_system_->stat(path);
    if (info && !info->regular) continue;  // somebody else's
    const bool sound = info && is_sound(parts, blob.bytes);
    if (!sound && info && file_system_->unlink(path)) changed.insert(blob_directory(parts.algorithm));
    if (!sound && blob.bytes) restore(parts, *blob.bytes);
    to_sync.push_back(digest);
    if (!blob.bytes) continue;
    // The kill came before the rename: the ingest is to be gone, unless its key has been used for another since.
    for (const std::string& key : blob.keys) {
      if (is_key(key) && holds(ingest_path(key), *blob.bytes)) file_system_->unlink(ingest_path(key));
    }
  }
  for (const std::string& directory : changed) sync_directory(directory);
  sync_blobs(*file_system_, to_sync, [this](const std::string& path) { sync_directory(path); });
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
