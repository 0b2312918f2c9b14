// A look at a TOML text before toml++ gets it, for what that library can't be trusted with.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace ipcs::config {

inline constexpr size_t kNestingMax = 32;

// Something in a text that must not reach the parser.
struct Unsafe {
  size_t line = 0;  // from 1
  std::string_view problem;
};

// The first of these, or nothing:
//   - brackets nested deeper than kNestingMax, or a key with more dots than that;
//   - a byte outside of ASCII that is in no string or comment (never TOML; a byte order mark at the start is);
//   - one that follows a backslash in a basic string, also with blanks and line ends in between.
// Exact up to the first mistake in the text, where the parser stops. Never throws.
std::optional<Unsafe> find_unsafe(std::string_view text) noexcept;

}  // namespace ipcs::config
