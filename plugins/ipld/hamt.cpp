// HAMT directories (specs.ipfs.tech/unixfs): a node has a child for each value of the next 8 bits of the names' hashes.
#include "ipld/hamt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipld {
namespace {

constexpr uint64_t kMurmur3Code = 0x22;
constexpr unsigned kBits = 8, kHashBits = 64;
static_assert(kHamtFanout == 1u << kBits);

struct Hashed {
  uint64_t hash;
  const DirectoryEntry* entry;
};

// The trie is made from all names at once: entries in the order of their hashes, so that children are ranges.
class Trie {
 public:
  Trie(const Profile& profile, BlockSink& sink) : profile_(profile), sink_(sink) {}

  // The node for entries whose hashes have the first `used` bits in common.
  Subtree node(std::span<const Hashed> entries, unsigned used) {
    if (used == kHashBits)
      throw Error(Code::kInvalidArgument, fmt::format("directory: the names \"{}\" and \"{}\" have one hash",
                                                      shown(entries[0].entry->name), shown(entries[1].entry->name)));
    Bytes block;
    Bytes present(kHamtFanout / 8);  // a bit for each child, the first one last
    uint64_t dag_size = 0;
    for (size_t begin = 0; begin < entries.size();) {
      const size_t slot = slot_of(entries[begin].hash, used);
      size_t end = begin;
      while (end < entries.size() && slot_of(entries[end].hash, used) == slot) ++end;
      present[present.size() - 1 - slot / 8] |= static_cast<uint8_t>(1u << slot % 8);
      std::string name = fmt::format("{:02X}", slot);
      Subtree child = entries[begin].entry->child;
      if (end - begin == 1) {
        name += entries[begin].entry->name;
      } else {
        child = node(entries.subspan(begin, end - begin), used + kBits);
      }
      append_link(block, child.cid, name, child.dag_size);
      dag_size += child.dag_size;
      begin = end;
    }
    return finish(std::move(block), present, dag_size);
  }

 private:
  static size_t slot_of(uint64_t hash, unsigned used) noexcept {
    return hash >> (kHashBits - kBits - used) & (kHamtFanout - 1);
  }

  Subtree finish(Bytes block, const Bytes& present, uint64_t dag_size) {
    Unixfs unixfs;
    unixfs.type = UnixfsType::kHamtShard;
    unixfs.data.emplace(std::find_if(present.begin(), present.end(), [](uint8_t b) { return b != 0; }), present.end());
    unixfs.hash_type = kMurmur3Code;
    unixfs.fanout = kHamtFanout;
    append_data(block, unixfs.encode());
    const Cid cid = profile_.cid_of(Codec::kDagPb, block);
    if (cid.hash().code() != HashCode::kIdentity) sink_.put(cid, block);
    return {cid, 0, dag_size + block.size()};
  }

  const Profile& profile_;
  BlockSink& sink_;
};

uint64_t little_endian(BytesView bytes) noexcept {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

uint64_t mixed(uint64_t value) noexcept {
  value = (value ^ value >> 33) * 0xff51afd7ed558ccd;
  value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53;
  return value ^ value >> 33;
}

}  // namespace

uint64_t murmur3_64(BytesView bytes) noexcept {
  constexpr uint64_t kFirst = 0x87c37b91114253d5, kSecond = 0x4cf5ad432745937f;
  const auto first = [](uint64_t value) { return std::rotl(value * kFirst, 31) * kSecond; };
  const auto second = [](uint64_t value) { return std::rotl(value * kSecond, 33) * kFirst; };
  const uint64_t size = bytes.size();
  uint64_t a = 0, b = 0;
  for (; bytes.size() >= 16; bytes = bytes.subspan(16)) {
    a = (std::rotl(a ^ first(little_endian(bytes.first(8))), 27) + b) * 5 + 0x52dce729;
    b = (std::rotl(b ^ second(little_endian(bytes.subspan(8, 8))), 31) + a) * 5 + 0x38495ab5;
  }
  if (bytes.size() > 8) b ^= second(little_endian(bytes.subspan(8)));
  if (!bytes.empty()) a ^= first(little_endian(bytes.first(std::min<size_t>(8, bytes.size()))));
  a ^= size;
  b ^= size;
  a += b;
  b += a;
  return mixed(a) + mixed(b);
}

Subtree make_hamt(const Profile& profile, const std::vector<DirectoryEntry>& entries, BlockSink& sink) {
  std::vector<Hashed> hashed;
  hashed.reserve(entries.size());
  for (const DirectoryEntry& entry : entries) hashed.push_back({murmur3_64(as_bytes(entry.name)), &entry});
  std::stable_sort(hashed.begin(), hashed.end(), [](const Hashed& a, const Hashed& b) { return a.hash < b.hash; });
  return Trie(profile, sink).node(hashed, 0);
}

}  // namespace ipcs::ipld
