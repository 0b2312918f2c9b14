// A walk in the order of the bytes.
#include "proof.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "ipld/chunker.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/dag_reader.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipfs_http {
namespace {

using ipld::Bytes;
using ipld::BytesView;
using ipld::Cid;

class Proof {
 public:
  Proof(const plugin::Call& call, ipld::BlockSource& source, uint64_t size, const ReadBytes& bytes, ipld::BlockSink& sink)
      : call_(call), source_(source), bytes_(bytes), sink_(sink), nodes_left_(kMostNodes + size / 1024), hashes_left_(8 * size) {}

  // The node `cid` covers the bytes [offset, offset + length).
  void node(const Cid& cid, uint64_t offset, uint64_t length, size_t depth) {
    call_.check();
    if (depth > ipld::kMaxDepth) differ(cid, "is too deep below the root");
    if (nodes_left_-- == 0) differ(cid, "is one of too many nodes for so few bytes");
    if (built(cid, offset, length)) return;
    const Bytes block = source_.get(cid);
    ipld::verify(cid, block);
    if (cid.codec() == ipld::Codec::kRaw) return differ(cid, "has other bytes");
    if (cid.codec() != ipld::Codec::kDagPb) return differ(cid, "is no part of a file");
    const ipld::Node node = ipld::decode_dag_pb(block);
    const ipld::Unixfs unixfs = ipld::Unixfs::decode(node.data.value_or(Bytes()));
    if (unixfs.type != ipld::UnixfsType::kFile && unixfs.type != ipld::UnixfsType::kRaw)
      return differ(cid, "is no part of a file");
    if (unixfs.block_sizes.size() != node.links.size()) return differ(cid, "lists other sizes than links");
    if (unixfs.file_size && *unixfs.file_size != length) return differ(cid, "says that it has another size");
    const Bytes own = unixfs.data.value_or(Bytes());
    uint64_t at = offset;
    const uint64_t end = offset + length;
    if (own.size() > end - at || !same(own, at)) return differ(cid, "has other bytes");
    at += own.size();
    sink_.put(cid, block);
    links_ += node.links.size();
    if (links_ > ipld::kMostPathLinks) differ(cid, "has too many links, with the nodes above it");
    for (size_t i = 0; i < node.links.size(); ++i) {
      if (unixfs.block_sizes[i] == 0) return differ(cid, "links to a part without bytes");
      if (unixfs.block_sizes[i] > end - at) return differ(cid, "has more bytes");
      this->node(node.links[i].cid, at, unixfs.block_sizes[i], depth + 1);
      at += unixfs.block_sizes[i];
    }
    if (at != end) differ(cid, "has fewer bytes");
    links_ -= node.links.size();
  }

 private:
  [[noreturn]] static void differ(const Cid& cid, const std::string& how) {
    throw Error(Code::kFailedPrecondition, "block " + cid.to_string() + " " + how);
  }

  bool same(BytesView own, uint64_t at) {
    if (own.empty()) return true;
    buffer_.resize(own.size());
    bytes_(at, buffer_);
    return std::equal(own.begin(), own.end(), buffer_.begin());
  }

  // Whether the bytes, as a leaf, are the block.
  bool built(const Cid& cid, uint64_t offset, uint64_t length) {
    if (length > ipld::kMaxChunk) return false;
    if (length > hashes_left_) differ(cid, "is below too many nodes of few bytes");
    hashes_left_ -= length;
    buffer_.resize(static_cast<size_t>(length));
    bytes_(offset, buffer_);
    if (cid.codec() == ipld::Codec::kRaw) return put_if(cid, buffer_);
    const ipld::LeafFrame frame = ipld::leaf_frame(buffer_.size());
    Bytes block = frame.before;
    block.insert(block.end(), buffer_.begin(), buffer_.end());
    block.insert(block.end(), frame.behind.begin(), frame.behind.end());
    return put_if(cid, block);
  }
  bool put_if(const Cid& cid, BytesView block) {
    if (!cid.hash().matches(block)) return false;
    if (cid.hash().code() != ipld::HashCode::kIdentity) sink_.put(cid, block);
    return true;
  }

  const plugin::Call& call_;
  ipld::BlockSource& source_;
  const ReadBytes& bytes_;
  ipld::BlockSink& sink_;
  uint64_t nodes_left_, hashes_left_;  // the latter in bytes: each node may be a leaf, and is hashed as one first
  size_t links_ = 0;  // of the nodes from the root to this one
  Bytes buffer_;
};

}  // namespace

void prove(const plugin::Call& call, ipld::BlockSource& source, const Cid& root, uint64_t size, const ReadBytes& bytes,
           ipld::BlockSink& sink) {
  Proof(call, source, size, bytes, sink).node(root, 0, size, 0);
}

}  // namespace ipcs::ipfs_http
