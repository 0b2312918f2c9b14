// Damerau-Levenshtein distance (optimal string alignment) between short words.
#include "config/nearest.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace ipcs::config {
namespace {

constexpr size_t kLongest = 64;  // bytes; longer words are no slip of a known one

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Both words have at most kLongest bytes.
size_t distance(std::string_view a, std::string_view b) noexcept {
  std::array<std::array<size_t, kLongest + 1>, 3> rows{};  // three rows suffice: a swap looks two back
  std::iota(rows[0].begin(), rows[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i - 1) % 3];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const char x = lower(a[i - 1]), y = lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y ? 1 : 0)});
      const bool swapped = i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y;
      if (swapped) row[j] = std::min(row[j], rows[(i - 2) % 3][j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string_view> known) {
  if (word.empty() || word.size() > kLongest) return std::nullopt;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string_view candidate : known) {
    if (candidate.empty() || candidate.size() > kLongest) continue;
    const size_t d = distance(word, candidate);
    // A word whose every letter would change is no slip, however short it is.
    if (d < best && d < std::max(word.size(), candidate.size())) {
      best = d;
      found = std::string(candidate);
    }
  }
  return found;
}

}  // namespace ipcs::config
