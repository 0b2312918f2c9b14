// Hexadecimal fields at fixed places.
#include "trace/context.hpp"

#include <algorithm>
#include <span>

namespace ipcs::trace {
namespace {

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;  // the specification forbids upper case
}

bool read_hex(std::string_view text, std::span<uint8_t> out) noexcept {
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

std::string to_hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

bool all_zero(std::span<const uint8_t> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::string Context::trace_hex() const { return to_hex(trace_id); }
std::string Context::span_hex() const { return to_hex(span_id); }

std::optional<Context> parse_traceparent(std::string_view text) noexcept {
  constexpr size_t kSize = 55;  // 2 + 1 + 32 + 1 + 16 + 1 + 2
  if (text.size() < kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  std::array<uint8_t, 1> version{}, flags{};
  Context context;
  if (!read_hex(text, version) || !read_hex(text.substr(3), context.trace_id) ||
      !read_hex(text.substr(36), context.span_id) || !read_hex(text.substr(53), flags))
    return std::nullopt;
  if (version[0] == 0xff || all_zero(context.trace_id) || all_zero(context.span_id)) return std::nullopt;
  if (version[0] == 0 ? text.size() != kSize : text.size() > kSize && text[kSize] != '-') return std::nullopt;
  context.sampled = (flags[0] & 1) != 0;
  return context;
}

}  // namespace ipcs::trace
