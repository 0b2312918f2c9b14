// Where blobs come from and go to; the way all bytes of images move.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "oci/call.hpp"
#include "oci/descriptor.hpp"
#include "oci/manifest.hpp"

namespace ipcs::oci {

// Takes a blob's bytes in their order, in pieces of at most 1 MiB or so. What it throws ends the reading.
using Sink = std::function<void(std::span<const uint8_t>)>;

// Gives the bytes of blobs by descriptor. Several threads may read at once.
class BlobSource {
 public:
  virtual ~BlobSource() = default;

  // Sends bytes [from, size) of the blob to `sink`, in a bounded amount of memory. Their number is checked; their
  // digest too when `from` is 0, but only after the last piece: what the sink has got counts for nothing until this
  // returns. Throws Error kNotFound, kDataLoss for wrong bytes, kOutOfRange for `from` > size, others as they come; a
  // source that fails in between has tried to go on from there.
  virtual void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) = 0;
  // What progress shows as the origin of bytes, e.g. "registry-1.docker.io".
  virtual std::string name() const = 0;
};

// The whole of a small blob, verified. Throws as read(), and kResourceExhausted when it has more than `limit` bytes.
std::string read_whole(BlobSource& source, const Descriptor& blob, uint64_t limit, const Call& call);

// Takes blobs under their digests. Several threads may write at once.
class BlobTarget {
 public:
  virtual ~BlobTarget() = default;

  // Whether the blob is there, so that it need not be read.
  virtual bool has(const Descriptor& blob, const Call& call) = 0;
  // Reads the blob from `source` and keeps it, on stable storage where the target has such. A blob of an index or
  // manifest comes after all that it refers to. One that is there already is success.
  virtual void put(const Descriptor& blob, BlobSource& source, const Call& call) = 0;
  // Names the image whose blobs have all been put; `tag` may be empty where the target allows it.
  virtual void tag(const Descriptor& root, const std::string& bytes, const std::string& tag, const Call& call) = 0;
  virtual std::string name() const = 0;
};

// A source that checks: passes bytes on while counting and hashing them.
class Verifier {
 public:
  // Begins at byte `from`; the digest is looked at only when that is 0. `what` begins the messages.
  Verifier(const Descriptor& blob, uint64_t from, std::string what);

  // Throws Error kDataLoss when there are more bytes than the descriptor says.
  void update(std::span<const uint8_t> bytes);
  uint64_t offset() const noexcept { return offset_; }
  // Throws Error kDataLoss unless size and digest are the descriptor's.
  void finish() const;

 private:
  Descriptor blob_;
  uint64_t offset_;
  std::optional<Hasher> hasher_;
  std::string what_;
};

}  // namespace ipcs::oci
