// Where a file is cut into leaves.
#pragma once

#include <memory>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

inline constexpr size_t kDefaultChunk = 262144;
inline constexpr size_t kMaxChunk = (2 << 20) - 256;  // as in Kubo: leaves room for dag-pb in a block of 2 MiB

// Cuts one stream, from its beginning to its end. It may remember what it saw, so a stream needs one of its own. Cut
// points depend on the bytes alone, never on how they arrived.
class Chunker {
 public:
  virtual ~Chunker() = default;
  // Bytes that a decision needs, and the longest chunk; 1 to kMaxChunk. Constant.
  virtual size_t max_size() const noexcept = 0;
  // The length, at least 1, of the chunk at the front of `bytes`: the stream from the last cut on, max_size() bytes or
  // all that is left of it, never empty. Fewer than max_size() bytes are the stream's last ones. Throws Error
  // kInvalidArgument where the stream is not of the kind that the chunker is for.
  virtual size_t cut(BytesView bytes) = 0;
};

// The chunker of a text: "size-N", "fastcdc-MIN-AVG-MAX" (fastcdc.hpp), "tar" (tar_chunker.hpp) or "zstd-frames"
// (zstd_frames.hpp). Throws Error kInvalidArgument that names the text and what is wrong, kUnimplemented for Kubo's "rabin…" and "buzhash".
std::unique_ptr<Chunker> make_chunker(std::string_view text);

}  // namespace ipcs::ipld
