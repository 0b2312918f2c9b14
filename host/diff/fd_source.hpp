// Bytes from a pipe or a file.
#pragma once

#include <vector>

#include "diff/byte_source.hpp"

namespace ipcs::diff {

// Reads a descriptor to its end. One thread.
class FdSource final : public ByteSource {
 public:
  // `fd` stays the caller's.
  explicit FdSource(int fd, size_t buffer = 256 * 1024) : fd_(fd), buffer_(buffer) {}

  std::span<const uint8_t> next(size_t max) override;
  // The next `count` bytes (few), without taking them; fewer at the end.
  std::span<const uint8_t> peek(size_t count);
  // Bytes taken so far.
  uint64_t taken() const noexcept { return taken_; }

 private:
  // Reads some more behind what is there. False at the end.
  bool fill();

  const int fd_;
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0, end_ = 0;
  uint64_t taken_ = 0;
};

}  // namespace ipcs::diff
