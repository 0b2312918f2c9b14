// A list in order of use and an index into it.
#include "content/blob_cache.hpp"

namespace ipcs::content {

std::shared_ptr<const OpenBlob> BlobCache::find(const oci::Digest& digest) {
  const std::lock_guard guard(mutex_);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return *found->second;
}

void BlobCache::insert(std::shared_ptr<const OpenBlob> blob) {
  std::shared_ptr<const OpenBlob> evicted;  // closed after the mutex is free: closing may reach the disk
  const std::lock_guard guard(mutex_);
  if (by_digest_.contains(blob->digest)) return;
  order_.push_front(std::move(blob));
  by_digest_.emplace(order_.front()->digest, order_.begin());
  if (order_.size() > capacity_) {
    evicted = std::move(order_.back());
    by_digest_.erase(evicted->digest);
    order_.pop_back();
  }
}

void BlobCache::erase(const oci::Digest& digest) {
  std::shared_ptr<const OpenBlob> evicted;
  const std::lock_guard guard(mutex_);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return;
  evicted = std::move(*found->second);
  order_.erase(found->second);
  by_digest_.erase(found);
}

void BlobCache::clear() {
  Order evicted;
  const std::lock_guard guard(mutex_);
  by_digest_.clear();
  evicted.swap(order_);
}

}  // namespace ipcs::content
