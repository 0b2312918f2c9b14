// Makes a UnixFS file out of a stream of bytes, as `ipfs add` would.
#pragma once

#include <memory>
#include <optional>

#include "ipld/blockstore.hpp"
#include "ipld/chunker.hpp"
#include "ipld/profile.hpp"
#include "ipld/sha256.hpp"

namespace ipcs::ipld {

// A finished part of a DAG.
struct Subtree {
  Cid cid;
  uint64_t file_size = 0;  // bytes of the file below
  uint64_t dag_size = 0;   // bytes of all blocks, one that stands there twice counted twice (Tsize)
};

// Builds the balanced tree of one file. Blocks go to the sink as they are complete: a leaf with its last byte, an inner
// node with its last child, the root last. Memory: two chunks, and the links of one unfinished node a level.
// One thread at a time. After an Error it can only be destroyed.
class DagBuilder {
 public:
  enum class Digest { kNo, kSha256 };

  // The sink outlives it. With kSha256 the digest of the whole file is computed in the same pass; that costs little
  // where the processor has SHA instructions. Throws Error kInvalidArgument for a bad profile.
  DagBuilder(Profile profile, BlockSink& sink, Digest digest = Digest::kNo);
  // The same with a chunker of the caller's; the profile's is not looked at.
  DagBuilder(Profile profile, BlockSink& sink, Digest digest, std::unique_ptr<Chunker> chunker);
  DagBuilder(const DagBuilder&) = delete;
  DagBuilder& operator=(const DagBuilder&) = delete;

  // The next bytes of the file; how they are split changes nothing. Throws what the sink throws.
  void append(BytesView bytes);
  // Ends the file. Once. Throws what the sink throws.
  Subtree finish();

  // The sha256 of the bytes so far whose leaves are complete; of the whole file after finish(). Only with kSha256.
  Sha256Digest digest() const noexcept { return whole_.digest(); }
  uint64_t size() const noexcept { return size_; }      // bytes appended
  uint64_t leaves() const noexcept { return leaves_; }  // complete ones

 private:
  // The node that is being filled on one level.
  struct Level {
    Bytes links;        // as they stand in the block
    Bytes block_sizes;  // likewise
    size_t count = 0;
    uint64_t file_size = 0, dag_size = 0;
    std::optional<Subtree> last;
  };

  size_t pending() const noexcept { return end_ - begin_; }
  size_t cut_size(BytesView bytes);
  void cut();
  Subtree emit_leaf(uint8_t* bytes, size_t size);
  Subtree emit_block(Codec codec, BytesView block, BytesView chunk);
  void add(size_t level, const Subtree& child);
  void close(size_t level);

  const Profile profile_;
  BlockSink& sink_;
  const bool with_digest_;
  const std::unique_ptr<Chunker> chunker_;
  // Bytes from the last cut on lie at [begin_, end_); there is room before and behind for what dag-pb puts there.
  std::unique_ptr<uint8_t[]> buffer_;
  size_t capacity_, begin_, end_;
  std::vector<Level> levels_;
  Sha256 whole_;
  uint64_t size_ = 0, leaves_ = 0;
};

}  // namespace ipcs::ipld
