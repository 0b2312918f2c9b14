// From the bytes of a layer as they are stored to those of its archive.
#pragma once

#include <memory>
#include <span>

#include "diff/byte_source.hpp"

namespace ipcs::diff {

enum class Compression { kNone, kGzip, kZstd };

// What the first bytes (10 of them, or all there are) are the beginning of.
Compression detect(std::span<const uint8_t> beginning);

// One stream. One thread.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  // Fills `out`; returns less than its size only at the end. Throws Error kDataLoss where the bytes are damaged or
  // cut off.
  virtual size_t read(std::span<uint8_t> out) = 0;
};

// `source` outlives the decompressor. gzip: any number of members, and zeros after the last; zstd: any number of
// frames, also ones to be skipped, with windows of at most 128 MiB.
std::unique_ptr<Decompressor> make_decompressor(Compression compression, ByteSource& source);

}  // namespace ipcs::diff
