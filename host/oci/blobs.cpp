// Checks that every source of blobs shares.
#include "oci/blobs.hpp"

#include "ipcs/error.hpp"

namespace ipcs::oci {

std::string read_whole(BlobSource& source, const Descriptor& blob, uint64_t limit, const Call& call) {
  if (blob.size() > limit) {
    throw Error(Code::kResourceExhausted, "blob " + blob.digest().to_string() + ": " + std::to_string(blob.size()) +
                                              " bytes, at most " + std::to_string(limit) + " are read");
  }
  std::string bytes;
  source.read(
      blob, 0, [&](std::span<const uint8_t> piece) { bytes.append(piece.begin(), piece.end()); }, call);
  return bytes;
}

Verifier::Verifier(const Descriptor& blob, uint64_t from, std::string what)
    : blob_(blob), offset_(from), what_(std::move(what)) {
  if (from > blob.size()) {
    throw Error(Code::kOutOfRange, what_ + ": offset " + std::to_string(from) + " is behind its end");
  }
  if (from == 0) hasher_.emplace(blob.digest().algorithm());
}

void Verifier::update(std::span<const uint8_t> bytes) {
  if (bytes.size() > blob_.size() - offset_) {
    throw Error(Code::kDataLoss,
                what_ + ": more than the " + std::to_string(blob_.size()) + " bytes of its descriptor");
  }
  if (hasher_) hasher_->update(bytes);
  offset_ += bytes.size();
}

void Verifier::finish() const {
  if (offset_ != blob_.size()) {
    throw Error(Code::kDataLoss,
                what_ + ": " + std::to_string(offset_) + " bytes, its descriptor says " + std::to_string(blob_.size()));
  }
  if (!hasher_) return;
  if (const Digest actual = hasher_->digest(); actual != blob_.digest()) {
    throw Error(Code::kDataLoss, what_ + ": the bytes have the digest " + actual.to_string());
  }
}

}  // namespace ipcs::oci
