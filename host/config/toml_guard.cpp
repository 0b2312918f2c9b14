// Finds what toml++ 3.3 can't be trusted with. It frees tables recursively and does not bound dotted keys, so that a
// key of some 100,000 parts overflows the stack; and where it asks whether a character is white space, one outside of
// ASCII (an "ä" in a bare key) runs into its __builtin_unreachable().
#include "config/toml_guard.hpp"

#include <array>

namespace ipcs::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_ascii(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x80;
}

// Goes through a text, keeping track of the line.
class Scan {
 public:
  explicit Scan(std::string_view text) noexcept : text_(text) {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  std::optional<Unsafe> run() noexcept {
    while (at_ < text_.size() && problem_.empty()) {
      const char c = text_[at_];
      if ((c == '"' || c == '\'') && !started_) {
        pass_string(c);
        started_ = true;
      } else if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else {
        weigh(c);
        advance();
      }
    }
    if (problem_.empty()) return std::nullopt;
    return Unsafe{problem_line_, problem_};
  }

 private:
  void refuse(std::string_view problem) noexcept {
    problem_ = problem;
    problem_line_ = line_;
  }
  void advance() noexcept {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }

  // A character in no string or comment.
  void weigh(char c) noexcept {
    if (c == ' ' || c == '\t' || c == '\r') return;
    started_ = false;
    if (c == '.') {
      ++dots_;
      started_ = value_;
    } else if (c == '[' || c == '{') {
      open(c == '[' && value_);
    } else if (c == ']' || c == '}') {
      if (depth_ > 0) --depth_;
      started_ = value_ = true;
    } else if (c == ',') {
      value_ = in_array();
    } else if (c == '=') {
      value_ = true;
    } else if (c == '\n') {
      value_ = in_array();
    } else {
      started_ = true;
    }
    if (c != '.' && !started_) dots_ = 0;
    if (depth_ > kNestingMax || dots_ > kNestingMax) refuse("tables or keys nested deeper than 32 levels");
    if (!is_ascii(c)) refuse("a character outside of ASCII that is in no string or comment: put keys in quotes");
  }
  void open(bool array) noexcept {
    ++depth_;
    if (depth_ <= kNestingMax) arrays_[depth_] = array;
    value_ = array;
  }
  bool in_array() const noexcept { return depth_ > 0 && arrays_[depth_]; }

  // Passes the string that begins here, or what is left of the text when the string has no end.
  void pass_string(char quote) noexcept {
    const std::string_view three = quote == '"' ? "\"\"\"" : "'''";
    const bool multiline = text_.substr(at_, 3) == three;
    at_ += multiline ? 3 : 1;
    while (at_ < text_.size() && problem_.empty()) {
      if (text_[at_] == '\\' && quote == '"') {
        pass_escape(multiline);
      } else if (text_[at_] == quote && !multiline) {
        ++at_;
        return;
      } else if (text_.substr(at_, 3) == three && multiline) {
        at_ += 3;
        // Up to two quotes may stand before the closing three.
        for (int extra = 0; extra < 2 && at_ < text_.size() && text_[at_] == quote; ++extra) ++at_;
        return;
      } else {
        const bool cut = text_[at_] == '\n' && !multiline;
        advance();
        if (cut) return;  // not TOML: the parser stops before this
      }
    }
  }

  // Passes a backslash and what belongs to it: one character, or blanks and line ends.
  void pass_escape(bool multiline) noexcept {
    const auto blank = [&] {
      const char c = text_[at_];
      return c == ' ' || c == '\t' || c == '\r' || c == '\n';
    };
    ++at_;
    const bool skips = multiline && at_ < text_.size() && blank();
    while (skips && at_ < text_.size() && blank()) advance();
    if (at_ == text_.size()) return;
    if (!is_ascii(text_[at_])) refuse("a character outside of ASCII behind a backslash");
    if (!skips) advance();
  }

  std::string_view text_;
  size_t at_ = 0, line_ = 1;
  size_t depth_ = 0;                            // of brackets
  std::array<bool, kNestingMax + 1> arrays_{};  // at each depth: an array, not a header or inline table
  size_t dots_ = 0;                             // of the key
  bool value_ = false;                          // a value is to come or has come, not a key
  bool started_ = false;  // of it, or of the part of a key, there is something: a quote here begins no string
  std::string_view problem_;
  size_t problem_line_ = 0;
};

}  // namespace

std::optional<Unsafe> find_unsafe(std::string_view text) noexcept {
  return Scan(text).run();
}

}  // namespace ipcs::config
