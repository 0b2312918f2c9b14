// Cutting by content: an insertion moves only the cuts near it.
#pragma once

#include "ipld/chunker.hpp"

namespace ipcs::ipld {

// FastCDC (Xia et al., USENIX ATC 2016) with normalised chunking of level 2. Kubo has no such chunker; the file that
// comes of it is one that every IPFS node reads.
//
// A rolling hash h = 2h + gear[byte] begins anew MIN bytes behind each cut. The chunk ends with the byte after which
// the top bits of h are all zero: b + 2 of them before AVG bytes, b - 2 from there on, where 2^b is the power of two
// next to AVG; at MAX bytes it ends in any case. gear[i] is the i-th number of SplitMix64 with the seed kFastCdcSeed.
// This definition is final: another one would cut published files elsewhere.
inline constexpr uint64_t kFastCdcSeed = 0x6970'6373'2063'6463;  // "ipcs cdc"
inline constexpr size_t kFastCdcLeast = 64;                      // the least MIN: bits of the hash

class FastCdc final : public Chunker {
 public:
  // Throws Error kInvalidArgument unless kFastCdcLeast ≤ min < average < max ≤ kMaxChunk.
  FastCdc(size_t min, size_t average, size_t max);

  size_t max_size() const noexcept override { return max_; }
  size_t cut(BytesView bytes) override;

 private:
  size_t min_, average_, max_;
  unsigned strict_bits_, loose_bits_;
};

}  // namespace ipcs::ipld
