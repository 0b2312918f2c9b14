// Unsigned varints of multiformats: little-endian groups of 7 bits, as short as can be, at most 9 bytes.
#pragma once

#include <optional>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

inline constexpr size_t kMaxVarintSize = 9;
inline constexpr uint64_t kMaxVarint = (uint64_t{1} << 63) - 1;

// Appends `value`. Throws Error kInvalidArgument above kMaxVarint.
void append_varint(Bytes& out, uint64_t value);

size_t varint_size(uint64_t value) noexcept;

// Why bytes are no varint (yet).
enum class VarintProblem { kCut, kNotMinimal, kTooLong };

struct VarintResult {
  uint64_t value = 0;
  size_t size = 0;                              // bytes that it takes; 0: there is a problem
  VarintProblem problem = VarintProblem::kCut;  // meaningful when size is 0
};

// The varint that `bytes` begin with. Never fails otherwise than in its result.
VarintResult read_varint(BytesView bytes) noexcept;

// Takes the varint off the front of `bytes`. Throws Error kInvalidArgument that names `what` and the problem.
uint64_t take_varint(BytesView& bytes, std::string_view what);

}  // namespace ipcs::ipld
