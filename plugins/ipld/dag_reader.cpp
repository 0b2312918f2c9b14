// Walks from the root of a UnixFS file to the leaves of a range.
#include "ipld/dag_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ipcs/error.hpp"
#include "ipld/chunker.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/file_node.hpp"
#include "ipld/sha256.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipld {
namespace {

// Inner nodes that are kept for those who read here and there: so many nodes, and so many links in all of them.
constexpr size_t kCachedNodes = 32, kCachedLinks = kMaxLinks;
constexpr size_t kMostWanted = 256;  // CIDs that the source is told of at once
constexpr size_t kStreamFrom = 1 << 20;  // bytes of read-ahead from which on a stream is better

// Whether `bytes`, as a leaf of codec raw or in the frame that dag-pb and UnixFS give it, have the CID.
bool makes_leaf(const Cid& cid, BytesView bytes) {
  Sha256 hash;
  if (cid.codec() == Codec::kRaw) {
    hash.update(bytes);
  } else {
    const LeafFrame frame = leaf_frame(bytes.size());
    hash.update(frame.before);
    hash.update(bytes);
    hash.update(frame.behind);
  }
  const Sha256Digest digest = hash.digest();
  const BytesView expected = cid.hash().digest();
  return std::equal(expected.begin(), expected.end(), digest.begin(), digest.end());
}

}  // namespace

DagReader::DagReader(BlockSource& source, const Cid& root, size_t read_ahead)
    : source_(source), read_ahead_(read_ahead) {
  path_.push_back({load(root, true), 0});
}

DagReader::~DagReader() = default;
DagReader::DagReader(DagReader&&) noexcept = default;

uint64_t DagReader::size() const noexcept {
  return path_.front().node->size;
}

DagReader::NodePtr DagReader::load(const Cid& cid, bool is_root) {
  const bool in_cid = cid.hash().code() == HashCode::kIdentity;
  const BytesView digest = cid.hash().digest();
  Bytes block = in_cid ? Bytes(digest.begin(), digest.end()) : source_.get(cid);
  if (block.size() > kMaxBlockSize)
    throw Error(Code::kDataLoss,
                fmt::format("block {}: {} bytes are more than a block has", cid.to_string(), block.size()));
  verify(cid, block);
  try {
    return std::make_shared<const FileNode>(FileNode::of(cid, std::move(block)));
  } catch (const Error& error) {
    // Something else in the middle of a file is damage.
    if (is_root || error.code() != Code::kFailedPrecondition) throw;
    throw Error(Code::kDataLoss, error.what());
  }
}

// The leaf `cid` from a stream of the file's bytes; null: it has to be fetched.
DagReader::NodePtr DagReader::leaf_of_bytes(const Cid& cid, uint64_t begin, uint64_t size) {
  const bool may_be_leaf = cid.codec() == Codec::kRaw || cid.codec() == Codec::kDagPb;
  if (!may_be_leaf || cid.hash().code() != HashCode::kSha2_256 || size == 0 || size > kMaxChunk) return nullptr;
  auto bytes = source_.file_bytes(cid, begin, size);
  if (!bytes || bytes->size() != size || !makes_leaf(cid, *bytes)) return nullptr;
  return std::make_shared<const FileNode>(FileNode{cid, *std::move(bytes), {}, {}, size});
}

bool DagReader::streams() const noexcept {
  return reads_on_ && window_ >= kStreamFrom && source_.streams();
}

DagReader::NodePtr DagReader::cached(const Cid& cid) const noexcept {
  for (const NodePtr& node : inner_nodes_) {
    if (node->cid == cid) return node;
  }
  return nullptr;
}

void DagReader::remember(const NodePtr& node) {
  if (node->children.empty()) return;
  const auto known = std::find(inner_nodes_.begin(), inner_nodes_.end(), node);
  if (known != inner_nodes_.end()) {
    std::rotate(inner_nodes_.begin(), known, known + 1);
    return;
  }
  inner_nodes_.insert(inner_nodes_.begin(), node);
  size_t links = 0, kept = 0;
  for (; kept < std::min(inner_nodes_.size(), kCachedNodes); ++kept) {
    links += inner_nodes_[kept]->children.size();
    if (links > kCachedLinks) break;
  }
  inner_nodes_.resize(kept);
}

DagReader::NodePtr DagReader::child_of(const Step& parent, size_t depth) {
  const Cid& cid = parent.node->children[parent.child];
  if (depth >= kMaxDepth)
    throw Error(Code::kDataLoss,
                fmt::format("block {}: it is more than {} nodes below the root", cid.to_string(), kMaxDepth));
  NodePtr child = cached(cid);
  const uint64_t size = parent.node->size_of(parent.child);
  if (!child && streams()) child = leaf_of_bytes(cid, parent.begin + parent.node->begin_of(parent.child), size);
  if (!child) child = load(cid, false);
  if (child->size != size)
    throw Error(Code::kDataLoss,
                fmt::format("block {}: it says that block {} has {} bytes of the file, but that has {}",
                            parent.node->cid.to_string(), cid.to_string(), size, child->size));
  remember(child);
  return child;
}

// Tells the source what will be read from `position` up to `end`, as far as the nodes at hand know it.
void DagReader::look_ahead(uint64_t position, uint64_t end) {
  std::vector<Cid> wanted;
  for (auto step = path_.rbegin(); step != path_.rend(); ++step) {
    const FileNode& node = *step->node;
    const uint64_t from = std::max(position, step->wanted_until);
    if (step->begin + node.size <= from || from < step->begin) continue;
    auto child = static_cast<size_t>(std::upper_bound(node.ends.begin(), node.ends.end(), from - step->begin) -
                                     node.ends.begin());
    for (; child < node.children.size() && step->begin + node.begin_of(child) < end && wanted.size() < kMostWanted;
         ++child) {
      const bool at_hand = step != path_.rbegin() && child == step->child;
      if (!at_hand && node.size_of(child) > 0 && !cached(node.children[child])) wanted.push_back(node.children[child]);
      step->wanted_until = step->begin + node.ends[child];
    }
  }
  if (!wanted.empty()) source_.want(wanted);
}

// Makes the path end at the node whose own bytes include `position`. `end`: how far this read goes.
void DagReader::descend(uint64_t position, uint64_t end) {
  const auto covers = [&](const Step& step) {
    return position >= step.begin && position < step.begin + step.node->size;
  };
  while (!covers(path_.back())) path_.pop_back();
  while (true) {
    Step& step = path_.back();
    const FileNode& node = *step.node;
    const uint64_t inside = position - step.begin;
    if (inside < node.data.size()) return;
    step.child = static_cast<size_t>(std::upper_bound(node.ends.begin(), node.ends.end(), inside) - node.ends.begin());
    if (!streams()) look_ahead(position, std::max(end, position + window_));
    const uint64_t begin = step.begin + node.begin_of(step.child);
    NodePtr child = child_of(step, path_.size());
    if (reads_on_ && child->children.empty())
      window_ = std::min(read_ahead_, std::max(2 * window_, static_cast<size_t>(2 * child->size)));
    size_t links = child->children.size();
    for (const Step& above : path_) links += above.node->children.size();
    if (links > kMostPathLinks)
      throw Error(Code::kDataLoss, fmt::format("block {}: the nodes from the root to it have {} links, more than {}",
                                               child->cid.to_string(), links, kMostPathLinks));
    path_.push_back({std::move(child), begin});
  }
}

size_t DagReader::read_at(uint64_t offset, std::span<uint8_t> out) {
  if (offset >= size()) return 0;
  const size_t count = static_cast<size_t>(std::min<uint64_t>(out.size(), size() - offset));
  reads_on_ = offset == next_ && offset > 0;
  if (!reads_on_) {
    window_ = 0;
    for (Step& step : path_) step.wanted_until = 0;
  }
  next_ = offset;
  for (size_t done = 0; done < count;) {
    try {
      descend(next_, offset + count);
    } catch (...) {
      next_ = offset;  // whoever tries again reads on
      throw;
    }
    const Step& leaf = path_.back();
    const auto inside = static_cast<size_t>(next_ - leaf.begin);
    const size_t taken = std::min(count - done, leaf.node->data.size() - inside);
    std::copy_n(leaf.node->data.begin() + static_cast<ptrdiff_t>(inside), taken,
                out.begin() + static_cast<ptrdiff_t>(done));
    done += taken;
    next_ += taken;
  }
  return count;
}

}  // namespace ipcs::ipld
