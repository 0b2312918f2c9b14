// The bytes of a layer's tar out of those of its blob.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "diff/byte_source.hpp"
#include "diff/decompressor.hpp"
#include "oci/blobs.hpp"

namespace ipcs::image {

// A tar to pull from: gunzipped, unpacked from zstd or as it is, as the blob's first bytes say. A layer of no bytes is an empty
// tar. The blob is read by a thread of its own, which ends with the object. One thread.
class LayerTar final : public diff::ByteSource {
 public:
  // `source` outlives it. `progress`, if any, is called by next() with how many bytes of the blob have been taken.
  LayerTar(oci::BlobSource& source, const oci::Descriptor& layer, const oci::Call& call,
           std::function<void(uint64_t)> progress = {});
  ~LayerTar() override;

  // The end is there only when the source has vouched for the whole blob. Throws Error kDataLoss for what is badly compressed,
  // cut off or has something behind its end, and what the source throws.
  std::span<const uint8_t> next(size_t max) override;

 private:
  class Stored;

  const std::unique_ptr<Stored> stored_;
  const std::unique_ptr<diff::Decompressor> decompressor_;
  std::vector<uint8_t> buffer_;
  std::span<const uint8_t> rest_;
  bool ended_ = false;
};

}  // namespace ipcs::image
