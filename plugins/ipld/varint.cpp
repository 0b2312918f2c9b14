// Unsigned varints, and text of others in messages.
#include "ipld/varint.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

const char* to_string(VarintProblem problem) noexcept {
  switch (problem) {
    case VarintProblem::kCut:
      return "is cut off";
    case VarintProblem::kNotMinimal:
      return "is not as short as it can be";
    case VarintProblem::kTooLong:
      return "is longer than 9 bytes";
  }
  return "";
}

}  // namespace

void append_varint(Bytes& out, uint64_t value) {
  if (value > kMaxVarint) throw Error(Code::kInvalidArgument, fmt::format("{} does not fit into a varint", value));
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

size_t varint_size(uint64_t value) noexcept {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

VarintResult read_varint(BytesView bytes) noexcept {
  VarintResult result;
  for (size_t i = 0; i < kMaxVarintSize; ++i) {
    if (i == bytes.size()) return result;
    const uint8_t byte = bytes[i];
    result.value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) {
      if (byte == 0 && i > 0) {
        result.problem = VarintProblem::kNotMinimal;
      } else {
        result.size = i + 1;
      }
      return result;
    }
  }
  result.problem = VarintProblem::kTooLong;
  return result;
}

uint64_t take_varint(BytesView& bytes, std::string_view what) {
  const VarintResult result = read_varint(bytes);
  if (result.size == 0)
    throw Error(Code::kInvalidArgument, fmt::format("{}: its number {}", what, to_string(result.problem)));
  bytes = bytes.subspan(result.size);
  return result.value;
}

std::string shown(std::string_view text) {
  constexpr size_t kMost = 100;
  std::string line;
  for (const char c : text.substr(0, kMost)) line += (c >= ' ' && c < 127) ? c : '?';
  if (text.size() > kMost) line += "...";
  return line;
}

}  // namespace ipcs::ipld
