// The bytes of a layer's tar out of those of its blob.
#pragma once

#include <memory>
#include <span>

#include "oci/blobs.hpp"

namespace ipcs::image {

// Gunzips, unpacks zstd or passes on, as the first bytes say. A layer of no bytes is an empty tar.
class Unpacker {
 public:
  explicit Unpacker(oci::Sink sink);
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // The next bytes of the blob. Throws Error kInvalidArgument for what is badly compressed, and what the sink throws.
  void append(std::span<const uint8_t> bytes);
  // That was all. Throws Error kInvalidArgument when it ends in the middle.
  void finish();

 private:
  class Codec;
  class Plain;
  class Gzip;
  class Zstd;
  void begin();

  const oci::Sink sink_;
  std::vector<uint8_t> first_;  // until the codec is known
  std::unique_ptr<Codec> codec_;
};

}  // namespace ipcs::image
