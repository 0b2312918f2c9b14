// "Did you mean …?": the known word nearest to one that is not known.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ipcs::config {

// The word of `known` that is fewest slips from `word`: a letter too many, one missing, one wrong, two swapped; upper
// and lower case are the same. The first of several equally near. Nothing when the best needs more than a third of the
// word's letters (at least one) to change, or when `word` is longer than 64 bytes.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace ipcs::config
