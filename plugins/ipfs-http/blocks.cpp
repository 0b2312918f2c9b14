// ipcs.blocks/1: a walk over a blob's DAG that fetches inner nodes alone.
#include <deque>

#include "ipld/chunker.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/dag_reader.hpp"
#include "ipld/unixfs.hpp"
#include "kubo_store.hpp"

namespace ipcs::ipfs_http {
namespace {

// Whether a dag-pb node of `tsize` bytes, as its parent has it, with `length` bytes of the file is a leaf as `ipfs add`
// makes them: then its size is known without the block.
bool is_plain_leaf(uint64_t tsize, uint64_t length) {
  if (length > ipld::kMaxChunk) return false;
  const ipld::LeafFrame frame = ipld::leaf_frame(static_cast<size_t>(length));
  return tsize == frame.before.size() + length + frame.behind.size();
}

class DagCursor final : public plugin::BlockCursor {
 public:
  DagCursor(KuboStore& store, std::string digest, const BlobRow& row)
      : store_(store), digest_(std::move(digest)), source_(store.cache(), kubo::Reach::kNetwork) {
    stack_.push_back({row.cid, 0, row.size, 0, 0});
  }

  std::vector<plugin::BlockEntry> next(const plugin::Call& call, size_t capacity) override {
    std::vector<plugin::BlockEntry> entries;
    source_.set_call(&call);
    while (entries.size() < capacity && !stack_.empty()) {
      call.check();
      const Item item = stack_.back();
      stack_.pop_back();
      entries.push_back(visit(call, item));
    }
    source_.set_call(nullptr);
    return entries;
  }

 private:
  struct Item {
    ipld::Cid cid;
    uint64_t offset, length;
    uint64_t tsize;  // 0: not known
    size_t depth;
  };

  plugin::BlockEntry visit(const plugin::Call& call, const Item& item) {
    plugin::BlockEntry entry{item.cid.to_string(), item.tsize, item.offset, item.length, true, false};
    const bool raw = item.cid.codec() == ipld::Codec::kRaw;
    if (raw) entry.size = item.length;
    if (raw || (item.depth > 0 && is_plain_leaf(item.tsize, item.length))) {
      entry.local = store_.cache().find(item.cid) != nullptr || store_.rpc().block_has(call, item.cid);
      return entry;
    }
    if (item.depth >= ipld::kMaxDepth) broken(item.cid, "is too deep below the root");
    const ipld::Bytes block = source_.get(item.cid);
    ipld::verify(item.cid, block);
    entry.size = block.size();
    entry.local = true;
    const ipld::Node node = ipld::decode_dag_pb(block);
    entry.leaf = node.links.empty();
    if (entry.leaf) return entry;
    const ipld::Unixfs unixfs = ipld::Unixfs::decode(node.data.value_or(ipld::Bytes()));
    if (unixfs.block_sizes.size() != node.links.size()) broken(item.cid, "lists other sizes than links");
    uint64_t at = item.offset + (unixfs.data ? unixfs.data->size() : 0);
    std::vector<Item> children;
    for (size_t i = 0; i < node.links.size(); ++i) {
      const uint64_t length = unixfs.block_sizes[i];
      if (length == 0) continue;  // no reader comes there either, and a small DAG has room for endlessly many
      if (length > item.offset + item.length - std::min(at, item.offset + item.length)) broken(item.cid, "has more bytes than its parent says");
      children.push_back({node.links[i].cid, at, length, node.links[i].tsize, item.depth + 1});
      at += length;
    }
    if (stack_.size() + children.size() > ipld::kMostPathLinks) broken(item.cid, "has too many links, with the nodes above it");
    stack_.insert(stack_.end(), children.rbegin(), children.rend());
    return entry;
  }
  [[noreturn]] void broken(const ipld::Cid& cid, const std::string& how) const {
    throw Error(Code::kDataLoss, "blob " + digest_ + ": block " + cid.to_string() + " " + how);
  }

  KuboStore& store_;
  const std::string digest_;
  CacheSource source_;
  std::vector<Item> stack_;  // the next one last
};

}  // namespace

std::unique_ptr<plugin::BlockCursor> KuboStore::list_blocks(const plugin::Call&, std::string_view digest) {
  return std::make_unique<DagCursor>(*this, std::string(digest), row_of(digest));
}

}  // namespace ipcs::ipfs_http
