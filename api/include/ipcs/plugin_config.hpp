// What an author's validate() says of keys that his plugin does not know.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::plugin {

// How many letters have to be put in, left out or changed to make the one word the other (Levenshtein's distance).
inline size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// Throws Error kInvalidArgument, `unknown key "pth" (did you mean "path"?)`, unless `key` is one of `known`. Whichever
// JSON library reads the configuration: call it for each key at the top.
inline void check_key(std::string_view key, std::span<const std::string_view> known) {
  if (std::find(known.begin(), known.end(), key) != known.end()) return;
  std::string message = "unknown key \"" + std::string(key) + "\"";
  const auto nearest = std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
    return distance(key, a) < distance(key, b);
  });
  if (nearest != known.end()) message += " (did you mean \"" + std::string(*nearest) + "\"?)";
  throw Error(Code::kInvalidArgument, message);
}

}  // namespace ipcs::plugin
