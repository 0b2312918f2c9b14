// W3C trace context: the `traceparent` that containerd sends with its requests.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ipcs::trace {

// Who asked, within which trace.
struct Context {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{};
  bool sampled = false;

  std::string trace_hex() const;
  std::string span_hex() const;
};

// Reads "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context, section 3.2.2). Nothing for any other text, for the invalid
// ids that are all zero, and for version ff; fields behind those of version 00 are passed over in later versions.
std::optional<Context> parse_traceparent(std::string_view text) noexcept;

}  // namespace ipcs::trace
