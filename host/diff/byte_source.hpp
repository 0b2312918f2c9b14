// Where a layer's bytes come from, as views of memory that nobody copies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

namespace ipcs::diff {

// Bytes in their order. One thread.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `max` (not 0) of the next bytes, valid until the next call; none at the end. Throws Error.
  virtual std::span<const uint8_t> next(size_t max) = 0;
};

// Fills `out` as far as there are bytes; returns how many.
inline size_t read_full(ByteSource& source, std::span<uint8_t> out) {
  size_t done = 0;
  while (done < out.size()) {
    const auto piece = source.next(out.size() - done);
    if (piece.empty()) break;
    std::memcpy(out.data() + done, piece.data(), piece.size());
    done += piece.size();
  }
  return done;
}

// Passes over bytes as far as there are any; returns how many.
inline uint64_t skip(ByteSource& source, uint64_t count) {
  uint64_t done = 0;
  while (done < count) {
    const auto piece = source.next(static_cast<size_t>(std::min<uint64_t>(count - done, 1 << 20)));
    if (piece.empty()) break;
    done += piece.size();
  }
  return done;
}

}  // namespace ipcs::diff
