// Cutting what zstd made at its frames (RFC 8878), which are told without unpacking anything.
#pragma once

#include "ipld/chunker.hpp"

namespace ipcs::ipld {

// Each frame, skippable ones too, is a chunk. So a file whose frames were cut with care has a DAG whose leaves can be unpacked
// one by one, and everybody who has the file makes the same DAG of it: no list of cuts has to go along.
class ZstdFrames final : public Chunker {
 public:
  size_t max_size() const noexcept override { return kMaxChunk; }
  // Throws Error kInvalidArgument, one line, for what is no zstd frame, a frame of more than kMaxChunk bytes, and one in which
  // the stream ends.
  size_t cut(BytesView bytes) override;

 private:
  uint64_t offset_ = 0;  // of the last cut
};

// The size of the frame at the front of `bytes`; 0: more than these are needed to tell. Throws Error kInvalidArgument for what is
// no frame; `offset` is for the message.
size_t zstd_frame_size(BytesView bytes, uint64_t offset);

}  // namespace ipcs::ipld
