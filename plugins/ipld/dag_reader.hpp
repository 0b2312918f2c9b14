// Reads a UnixFS file out of blocks that nobody vouches for.
#pragma once

#include <memory>

#include "ipld/blockstore.hpp"

namespace ipcs::ipld {

inline constexpr size_t kMaxDepth = 64;         // nodes from a file's root to a leaf
inline constexpr size_t kMostPathLinks = 131'072;  // links of all nodes on that way, which are in memory together
inline constexpr size_t kReadAhead = 8u << 20;  // bytes

// A file behind a root CID: a raw block, or a dag-pb tree of any shape, with blocks of any sizes, with bytes in inner
// nodes too. Every block is verified against its CID, and what a node says of sizes against what is there: file sizes
// against the sum of their parts, the size under each link against the child when it is read. So no byte comes out that
// is not the root's. Only the blocks of the range that is read are fetched; one who reads on and on gets read-ahead,
// which grows with each leaf, or gets a stream of the file's bytes where the source has one; each leaf is made of
// them again and verified.
// Nodes may be so deep and have so many links, together, as kMaxDepth and kMostPathLinks say; others are damage.
// Errors of damaged or false blocks are kDataLoss and name the CID; those of the source pass through. After an Error
// the reader can go on to be used. One thread at a time. Holds the path to the last leaf and a bounded cache of inner
// nodes.
class DagReader {
 public:
  // Fetches the root. The source outlives it; `read_ahead` is in bytes, 0: none. Throws Error kFailedPrecondition when
  // the root is whole but no file (a directory, a link, another codec).
  DagReader(BlockSource& source, const Cid& root, size_t read_ahead = kReadAhead);
  ~DagReader();
  DagReader(DagReader&&) noexcept;
  DagReader& operator=(DagReader&&) = delete;

  // Bytes of the file.
  uint64_t size() const noexcept;
  // Fills `out` from `offset` on; less at the end of the file only. Returns how much.
  size_t read_at(uint64_t offset, std::span<uint8_t> out);

 private:
  struct FileNode;
  using NodePtr = std::shared_ptr<const FileNode>;
  struct Step {
    NodePtr node;
    uint64_t begin;             // of the node in the file
    size_t child = 0;           // the one that the path goes on with
    uint64_t wanted_until = 0;  // children that begin before it have been asked for
  };

  NodePtr load(const Cid& cid, bool is_root);
  NodePtr leaf_of_bytes(const Cid& cid, uint64_t begin, uint64_t size);
  NodePtr cached(const Cid& cid) const noexcept;
  bool streams() const noexcept;
  NodePtr child_of(const Step& parent, size_t depth);
  void descend(uint64_t position, uint64_t end);
  void look_ahead(uint64_t position, uint64_t end);
  void remember(const NodePtr& node);

  BlockSource& source_;
  const size_t read_ahead_;
  std::vector<Step> path_;            // never empty; the root first
  std::vector<NodePtr> inner_nodes_;  // the last used first
  uint64_t next_ = 0;                 // where the last read ended
  bool reads_on_ = false;             // this read began where the last one ended
  size_t window_ = 0;                 // bytes to ask for beyond what is read
};

}  // namespace ipcs::ipld
