// A look at a TOML text before it is parsed: how deep would its tables go?
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace ipcs::config {

inline constexpr size_t kNestingMax = 32;

// The first line (from 1) on which brackets are nested deeper than kNestingMax, or a key has more than kNestingMax dots;
// nothing when there is none. Never throws; a text that is not TOML gets any answer.
std::optional<size_t> too_deep(std::string_view text) noexcept;

}  // namespace ipcs::config
