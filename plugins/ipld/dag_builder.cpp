// The balanced tree of a file, built from its first byte to its last.
#include "ipld/dag_builder.hpp"

#include <algorithm>
#include <cstring>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"
#include "ipld/wire.hpp"

namespace ipcs::ipld {
namespace {

// What dag-pb and UnixFS put around the bytes of a leaf: tags, and numbers of at most four bytes.
constexpr size_t kRoomBefore = 64, kRoomBehind = 64;

constexpr unsigned kBlockSizesField = 4;  // of UnixFS

std::unique_ptr<Chunker> chunker_of(const Profile& profile) {
  return make_chunker(profile.chunker);
}

}  // namespace

DagBuilder::DagBuilder(Profile profile, BlockSink& sink, Digest digest)
    : DagBuilder(profile, sink, digest, chunker_of(profile)) {}

DagBuilder::DagBuilder(Profile profile, BlockSink& sink, Digest digest, std::unique_ptr<Chunker> chunker)
    : profile_(std::move(profile)),
      sink_(sink),
      with_digest_(digest == Digest::kSha256),
      chunker_(std::move(chunker)),
      capacity_(kRoomBefore + 2 * chunker_->max_size() + kRoomBehind),
      begin_(kRoomBefore),
      end_(kRoomBefore) {
  profile_.validate();
  buffer_ = std::make_unique_for_overwrite<uint8_t[]>(capacity_);
}

void DagBuilder::append(BytesView bytes) {
  const size_t wanted = chunker_->max_size();
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (profile_.raw_leaves && pending() == 0 && bytes.size() >= wanted) {
      // A leaf that is the bytes themselves, all of them here, needs no copy.
      const BytesView chunk = bytes.first(cut_size(bytes.first(wanted)));
      ++leaves_;
      add(0, emit_block(Codec::kRaw, chunk, chunk));
      bytes = bytes.subspan(chunk.size());
      continue;
    }
    if (capacity_ - kRoomBehind - begin_ < wanted) {
      std::memmove(&buffer_[kRoomBefore], &buffer_[begin_], pending());
      end_ = kRoomBefore + pending();
      begin_ = kRoomBefore;
    }
    const size_t taken = std::min(bytes.size(), wanted - pending());
    std::memcpy(&buffer_[end_], bytes.data(), taken);
    end_ += taken;
    bytes = bytes.subspan(taken);
    if (pending() == wanted) cut();
  }
}

size_t DagBuilder::cut_size(BytesView bytes) {
  const size_t size = chunker_->cut(bytes);
  if (size == 0 || size > bytes.size()) throw Error(Code::kInternal, "the chunker cut where there are no bytes");
  return size;
}

// Makes a leaf of the front of what is pending.
void DagBuilder::cut() {
  const size_t size = cut_size(BytesView(&buffer_[begin_], pending()));
  add(0, emit_leaf(&buffer_[begin_], size));
  begin_ += size;
  if (begin_ == end_) begin_ = end_ = kRoomBefore;
}

Subtree DagBuilder::emit_leaf(uint8_t* bytes, size_t size) {
  ++leaves_;
  const BytesView chunk(bytes, size);
  if (profile_.raw_leaves) return emit_block(Codec::kRaw, chunk, chunk);
  // The block is put together where the bytes lie: what stands before them is a leaf that is gone, what stands behind
  // them is put back.
  const LeafFrame frame = leaf_frame(size);
  std::array<uint8_t, kRoomBehind> saved;
  std::memcpy(saved.data(), bytes + size, frame.behind.size());
  std::copy(frame.before.begin(), frame.before.end(), bytes - frame.before.size());
  std::copy(frame.behind.begin(), frame.behind.end(), bytes + size);
  const Subtree leaf = emit_block(
      Codec::kDagPb, BytesView(bytes - frame.before.size(), frame.before.size() + size + frame.behind.size()), chunk);
  std::memcpy(bytes + size, saved.data(), frame.behind.size());
  return leaf;
}

// Hashes a leaf, with the whole file beside it where that is wanted, and passes it on.
Subtree DagBuilder::emit_block(Codec codec, BytesView block, BytesView chunk) {
  const auto subtree = [&](const Cid& cid) {
    if (cid.hash().code() != HashCode::kIdentity) sink_.put(cid, block);
    return Subtree{cid, chunk.size(), block.size()};
  };
  if (profile_.hash != HashCode::kSha2_256 || profile_.is_inline(block.size())) {
    if (with_digest_) whole_.update(chunk);
    return subtree(profile_.cid_of(codec, block));
  }
  Sha256 leaf;
  if (with_digest_) {
    Sha256::update_two(leaf, block, whole_, chunk);
  } else {
    leaf.update(block);
  }
  return subtree(profile_.cid_of(codec, Multihash(HashCode::kSha2_256, leaf.digest())));
}

void DagBuilder::add(size_t index, const Subtree& child) {
  if (index == levels_.size()) levels_.emplace_back();
  Level& level = levels_[index];
  append_link(level.links, child.cid, "", child.dag_size);
  wire::append_varint_field(level.block_sizes, kBlockSizesField, child.file_size);
  level.file_size += child.file_size;
  level.dag_size += child.dag_size;
  level.last = child;
  if (++level.count == profile_.max_links) close(index);
}

// Makes a node of the links of a level and adds it to the level above.
void DagBuilder::close(size_t index) {
  Level& level = levels_[index];
  Unixfs unixfs;
  unixfs.file_size = level.file_size;
  Bytes data = unixfs.encode();
  data.insert(data.end(), level.block_sizes.begin(), level.block_sizes.end());
  Bytes block = std::move(level.links);
  append_data(block, data);
  const Cid cid = profile_.cid_of(Codec::kDagPb, block);
  if (cid.hash().code() != HashCode::kIdentity) sink_.put(cid, block);
  const Subtree node{cid, level.file_size, level.dag_size + block.size()};
  level = Level();
  add(index + 1, node);
}

Subtree DagBuilder::finish() {
  while (pending() > 0) cut();
  if (levels_.empty()) add(0, emit_leaf(&buffer_[begin_], 0));
  // All leaves are at one depth, so a left-over child gets a parent of its own; only the top is not wrapped once more.
  for (size_t index = 0;; ++index) {
    const Level& level = levels_[index];
    const bool top = index + 1 == levels_.size();
    if (top && level.count == 1) return *level.last;
    if (level.count > 0) close(index);
  }
}

}  // namespace ipcs::ipld
