// Open blobs by digest, kept for the next read: containerd reads a blob in many small requests.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "ipcs/store.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

// A blob that is open for reading. Shared by requests; goes on giving its bytes after the blob was removed.
struct OpenBlob {
  oci::Digest digest;
  uint64_t size;  // bytes
  BlobReader reader;
};

// The most recently used open blobs. [thread-safe]
class BlobCache {
 public:
  // Keeps at most `capacity` blobs open besides those that requests are using.
  explicit BlobCache(size_t capacity) : capacity_(capacity) {}

  // The open blob, or null.
  std::shared_ptr<const OpenBlob> find(const oci::Digest& digest);
  void insert(std::shared_ptr<const OpenBlob> blob);
  // Forgets the blob, so that the next read opens it anew.
  void erase(const oci::Digest& digest);
  void clear();

 private:
  using Order = std::list<std::shared_ptr<const OpenBlob>>;  // most recently used first

  const size_t capacity_;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<oci::Digest, Order::iterator> by_digest_;
};

}  // namespace ipcs::content
