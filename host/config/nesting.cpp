// Finds over-deep nesting. toml++ bounds the depth of values but not of dotted keys, and frees tables recursively: a
// key of some 100,000 parts would overflow the stack.
#include "config/nesting.hpp"

namespace ipcs::config {
namespace {

// The text behind a string that begins at `at` with a quote; the end of the text when the string has none. Counts the
// lines passed.
size_t behind_string(std::string_view text, size_t at, size_t& line) noexcept {
  const char quote = text[at];
  const bool multiline = text.substr(at, 3) == (quote == '"' ? "\"\"\"" : "'''");
  size_t i = at + (multiline ? 3 : 1);
  while (i < text.size()) {
    if (text[i] == '\n') {
      ++line;
      if (!multiline) return i + 1;  // not TOML: the parser stops before this
    }
    if (text[i] == '\\' && quote == '"') {
      ++i;
      if (i < text.size() && text[i] == '\n') ++line;
    } else if (text[i] == quote && !multiline) {
      return i + 1;
    } else if (text[i] == quote && text.substr(i, 3) == text.substr(at, 3)) {
      i += 3;
      // Up to two quotes may stand before the closing three.
      for (int extra = 0; extra < 2 && i < text.size() && text[i] == quote; ++extra) ++i;
      return i;
    }
    ++i;
  }
  return i;
}

}  // namespace

std::optional<size_t> too_deep(std::string_view text) noexcept {
  size_t line = 1, depth = 0, dots = 0;
  for (size_t i = 0; i < text.size();) {
    switch (text[i]) {
      case '"':
      case '\'':
        i = behind_string(text, i, line);
        continue;
      case '#':
        while (i < text.size() && text[i] != '\n') ++i;
        continue;
      case '[':
      case '{':
        ++depth;
        dots = 0;
        break;
      case ']':
      case '}':
        if (depth > 0) --depth;
        dots = 0;
        break;
      case '.':
        ++dots;
        break;
      case '\n':
        ++line;
        dots = 0;
        break;
      case ',':
      case '=':
        dots = 0;
        break;
      default:
        break;
    }
    if (depth > kNestingMax || dots > kNestingMax) return line;
    ++i;
  }
  return std::nullopt;
}

}  // namespace ipcs::config
