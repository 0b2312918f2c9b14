// FastCDC.
#include "ipld/fastcdc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

constexpr std::array<uint64_t, 256> make_gear() {
  std::array<uint64_t, 256> gear{};
  uint64_t state = kFastCdcSeed;
  for (uint64_t& value : gear) {
    state += 0x9e3779b97f4a7c15;
    value = state;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    value ^= value >> 31;
  }
  return gear;
}

constexpr std::array<uint64_t, 256> kGear = make_gear();

// The exponent of the power of two next to `value`; of two equally near ones the larger.
unsigned nearest_power(size_t value) noexcept {
  const auto below = static_cast<unsigned>(std::bit_width(value) - 1);
  return value - (size_t{1} << below) >= (size_t{1} << (below + 1)) - value ? below + 1 : below;
}

}  // namespace

FastCdc::FastCdc(size_t min, size_t average, size_t max) : min_(min), average_(average), max_(max) {
  if (min < kFastCdcLeast || average <= min || max <= average || max > kMaxChunk)
    throw Error(Code::kInvalidArgument, fmt::format("fastcdc wants {} <= MIN < AVG < MAX <= {}, not {}, {}, {}",
                                                    kFastCdcLeast, kMaxChunk, min, average, max));
  const unsigned bits = nearest_power(average);
  strict_bits_ = bits + 2;
  loose_bits_ = bits - 2;
}

size_t FastCdc::cut(BytesView bytes) {
  const size_t end = std::min(bytes.size(), max_);
  const size_t normal = std::min(end, average_);
  uint64_t hash = 0;
  size_t i = std::min(end, min_);
  for (const uint64_t limit = uint64_t{1} << (64 - strict_bits_); i < normal; ++i) {
    hash = (hash << 1) + kGear[bytes[i]];
    if (hash < limit) return i + 1;
  }
  for (const uint64_t limit = uint64_t{1} << (64 - loose_bits_); i < end; ++i) {
    hash = (hash << 1) + kGear[bytes[i]];
    if (hash < limit) return i + 1;
  }
  return end;
}

}  // namespace ipcs::ipld
