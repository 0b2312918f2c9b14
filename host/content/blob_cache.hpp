// Open blobs by digest, kept for the next read: containerd reads a blob in many small requests.
#pragma once

#include <functional>
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

  // The open blob, or null. Never waits.
  std::shared_ptr<const OpenBlob> find(const oci::Digest& digest);
  // The open blob. Where there is none `open` makes it, without any lock held and once for all who ask meanwhile: they
  // wait for it and share its failure, unless that is the end of the call that made it. Throws Error: what `open` throws;
  // kCancelled or kDeadlineExceeded when `call` ends while another call opens the blob.
  std::shared_ptr<const OpenBlob> find_or_open(const Call& call, const oci::Digest& digest,
                                               const std::function<OpenBlob()>& open);
  // Forgets the blob, so that the next read opens it anew. One that is being opened goes to those who asked already, and
  // is not kept.
  void erase(const oci::Digest& digest);
  void clear();

 private:
  using Order = std::list<std::shared_ptr<const OpenBlob>>;  // most recently used first
  // A blob that is being opened.
  struct Opening;

  // Opens the blob for all who wait.
  std::shared_ptr<const OpenBlob> lead(const oci::Digest& digest, Opening& opening,
                                       const std::function<OpenBlob()>& open);
  // The opening is over; the blob is kept unless it was erased meanwhile.
  void end(const oci::Digest& digest, Opening& opening);

  const size_t capacity_;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<oci::Digest, Order::iterator> by_digest_;
  std::unordered_map<oci::Digest, std::shared_ptr<Opening>> openings_;
};

}  // namespace ipcs::content
