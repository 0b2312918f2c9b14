// Bytes in memory as a source that gives them in pieces of any size.
#pragma once

#include <string>
#include <string_view>

#include "diff/byte_source.hpp"

namespace ipcs::diff {

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes, size_t piece = 1 << 20) : bytes_(bytes), piece_(piece) {}

  std::span<const uint8_t> next(size_t max) override {
    const std::string_view taken = bytes_.substr(0, std::min(max, piece_));
    bytes_.remove_prefix(taken.size());
    return {reinterpret_cast<const uint8_t*>(taken.data()), taken.size()};
  }
  size_t left() const noexcept { return bytes_.size(); }

 private:
  std::string_view bytes_;
  size_t piece_;
};

}  // namespace ipcs::diff
