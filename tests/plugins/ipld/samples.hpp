// Bytes and files that the tests of this room share.
#pragma once

#include <algorithm>

#include "ipld/dag_builder.hpp"

namespace ipcs::ipld::samples {

// Numbers that are the same in every run.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept : state_(seed) {}
  uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t value = state_;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
  }
  uint64_t below(uint64_t limit) noexcept { return next() % limit; }

 private:
  uint64_t state_;
};

inline Bytes noise(size_t size, uint64_t seed) {
  Random random(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
  return bytes;
}

// Calls `take` with the pieces of `bytes`, each of 0 to `most` bytes.
template <class Take>
void in_pieces(BytesView bytes, size_t most, uint64_t seed, const Take& take) {
  Random random(seed);
  while (!bytes.empty()) {
    const size_t size = std::min<size_t>(bytes.size(), random.below(most + 1));
    take(bytes.first(size));
    bytes = bytes.subspan(size);
  }
}

inline Subtree build(const Profile& profile, BytesView bytes, BlockSink& sink) {
  DagBuilder builder(profile, sink);
  builder.append(bytes);
  return builder.finish();
}

inline std::string hex(BytesView bytes) {
  return encode_multibase(Base::kBase16, bytes).substr(1);
}
inline Bytes unhex(std::string_view text) {
  return decode_multibase("f" + std::string(text));
}

}  // namespace ipcs::ipld::samples
