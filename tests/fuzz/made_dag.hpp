// DAGs that a fuzzer's input describes: blocks that contradict each other in every way.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "ipld/blockstore.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipld::fuzz {

// Bytes of the input, one by one; zeros at its end.
class Input {
 public:
  explicit Input(BytesView bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty(); }
  uint8_t next() {
    if (rest_.empty()) return 0;
    const uint8_t byte = rest_[0];
    rest_ = rest_.subspan(1);
    return byte;
  }
  Bytes take(size_t size) {
    const BytesView taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return Bytes(taken.begin(), taken.end());
  }

 private:
  BytesView rest_;
};

// Makes a block of the input; its links go to blocks made before.
inline Cid make_block(Input& input, const std::vector<std::pair<Cid, uint64_t>>& before, MemoryBlockstore& store,
               uint64_t& size) {
  const uint8_t kind = input.next();
  Bytes data = input.take(kind % 16);
  if (kind < 64 || before.empty()) {
    size = data.size();
    if (kind % 2 == 0) return Cid::v1(Codec::kRaw, Multihash(HashCode::kIdentity, data));
    const Cid cid = Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, data));
    store.put(cid, data);
    return cid;
  }
  Unixfs unixfs;
  size = data.size();
  Node node;
  for (uint8_t links = input.next() % 8; links > 0; --links) {
    const auto& [cid, below] = before[input.next() % before.size()];
    const uint8_t lie = input.next();
    const uint64_t said = lie < 200 ? below : lie < 250 ? lie : ~uint64_t{0} >> (lie - 250);
    node.links.push_back({cid, "", 0});
    unixfs.block_sizes.push_back(said);
    size += said;
  }
  const uint8_t lie = input.next();
  if (lie < 200) unixfs.file_size = size;
  if (lie > 250) unixfs.file_size = lie;
  if (lie == 249) unixfs.type = UnixfsType::kDirectory;
  if (!data.empty()) unixfs.data = std::move(data);
  node.data = unixfs.encode();
  if (lie == 248) node.data->push_back(0xff);
  const Bytes block = encode_dag_pb(node);
  const Cid cid = Cid::v0(Multihash::of(HashCode::kSha2_256, block));
  if (lie != 247) store.put(cid, block);
  return cid;
}

// Puts blocks into `store` and returns them with the bytes of the file that are said to be below; the last one is the
// root. Empty for an empty input.
inline std::vector<std::pair<Cid, uint64_t>> make_dag(BytesView bytes, MemoryBlockstore& store) {
  Input input(bytes);
  std::vector<std::pair<Cid, uint64_t>> blocks;
  while (!input.at_end() && blocks.size() < 40) {
    uint64_t below = 0;
    const Cid cid = make_block(input, blocks, store, below);
    blocks.emplace_back(cid, below);
  }
  return blocks;
}

}  // namespace ipcs::ipld::fuzz
