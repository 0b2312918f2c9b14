// Parsing and matching of filters; the grammar and its corner cases are those of containerd's pkg/filters.
#include "content/filter.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::content {
namespace {

constexpr size_t kShown = 80;  // bytes that a message shows on either side of the place of an error

// One character of the input. `value` is kEnd behind the last one and kBad where there is none that may be used.
struct Character {
  static constexpr int32_t kEnd = -1, kBad = -2;
  int32_t value = kEnd;
  size_t size = 0;          // bytes
  const char* reason = "";  // of kBad
};

// Decodes the UTF-8 at the start of `text`, as strictly as Go: no overlong forms, no surrogates.
Character decode(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first == 0) return {Character::kBad, 1, "unexpected null"};
  if (first < 0x80) return {first, 1};
  const Character bad{Character::kBad, 1, "rune error"};
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return bad;
  int32_t value = first & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return bad;
    value = value << 6 | (byte(i) & 0x3f);
  }
  static constexpr std::array<int32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return bad;
  // U+FFFD stands for something that was not UTF-8 before it came here.
  if (value == 0xfffd) return {Character::kBad, size, "rune error"};
  return {value, size};
}

void append_utf8(std::string& out, uint32_t value) {
  if (value >= 0xd800 && value < 0xe000) value = 0xfffd;
  if (value < 0x80) {
    out += static_cast<char>(value);
    return;
  }
  const int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  static constexpr std::array<uint8_t, 4> kLead{0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead[more] | value >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (value >> (6 * i) & 0x3f));
}

// Unicode's White_Space property.
bool is_space(int32_t c) {
  return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_field(int32_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_operator(int32_t c) {
  return c == '=' || c == '!' || c == '~';
}
bool is_separator(int32_t c) {
  return c == ',' || c == '.';
}
bool is_quote(int32_t c) {
  return c == '"' || c == '/' || c == '|';
}

// Whether the character goes on a bare value. RE2 brings Unicode's tables.
bool is_value(const Character& c, std::string_view bytes) {
  if (c.value < 0x80) return c.value > ' ' && c.value < 0x7f && c.value != ',';
  static const re2::RE2 kGraphic("[\\pL\\pM\\pN\\pP\\pS]", re2::RE2::Quiet);
  return re2::RE2::FullMatch(re2::StringPiece(bytes.data(), bytes.size()), kGraphic);
}

int digit(int32_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 16;
}

// `text` as it can stand in a message of one line.
std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = decode(text);
    const bool shown = c.value >= ' ' && c.value != 0x7f && !(c.value >= 0x80 && c.value < 0xa0) && c.value != 0x2028 &&
                       c.value != 0x2029;
    out += shown ? text.substr(0, c.size) : "?";
    text.remove_prefix(c.size);
  }
  return out;
}

// Whether a character may begin at `text[at]`: used to cut excerpts.
bool boundary(std::string_view text, size_t at) {
  return at >= text.size() || (text[at] & 0xc0) != 0x80;
}

}  // namespace

// Parses one filter, left to right. Lives for one call; `at_` is where the next character begins.
class FilterParser {
 public:
  explicit FilterParser(std::string_view input) : input_(input) {}

  std::vector<Filter::Selector> selectors() {
    std::vector<Filter::Selector> all;
    while (true) {
      all.push_back(selector());
      const Character c = peek();
      if (c.value == Character::kEnd) return all;
      if (c.value != ',') fail(at_, "unexpected input: " + printable(input_.substr(at_, c.size)));
      at_ += c.size;
    }
  }

 private:
  using Operator = Filter::Operator;

  // As containerd writes it, but with a whole character as the place and long inputs cut.
  [[noreturn]] void fail(size_t at, const std::string& why) const {
    size_t from = at > kShown ? at - kShown : 0;
    while (from < at && !boundary(input_, from)) ++from;
    std::string place = (from > 0 ? "…" : "") + printable(input_.substr(from, at - from));
    if (at < input_.size()) {
      const size_t size = decode(input_.substr(at)).size;
      size_t to = std::min(input_.size(), at + size + kShown);
      while (to > at + size && !boundary(input_, to)) --to;
      place += " >|" + printable(input_.substr(at, size)) + "|< " + printable(input_.substr(at + size, to - at - size));
      if (to < input_.size()) place += "…";
    }
    throw Error(Code::kInvalidArgument, "filters: parse error: [" + place + "]: " + why);
  }

  Character peek() const { return decode(input_.substr(at_)); }
  Character next() {
    const Character c = peek();
    at_ += c.size;
    return c;
  }

  // The first character of the next word, not taken; space before it is.
  Character start_word() {
    Character c = peek();
    for (; is_space(c.value); c = peek()) at_ += c.size;
    if (c.value == Character::kBad) fail(at_, c.reason);
    return c;
  }

  Filter::Selector selector() {
    Filter::Selector made;
    do {
      made.path.push_back(field());
    } while (peek().value == '.' && (next(), true));
    const Character c = peek();
    if (c.value == ',' || c.value == Character::kEnd) return made;
    made.op = comparison();
    made.value = value(made.op == Operator::kMatches);
    return made;
  }

  std::string field() {
    const Character c = start_word();
    if (is_quote(c.value)) return quoted(false);
    if (!is_field(c.value)) fail(at_, "expected field or quoted");
    return take_while([](const Character& next) { return is_field(next.value); });
  }

  Operator comparison() {
    const Character c = start_word();
    const size_t word = at_;
    // What stands here may be a label's key with a slash and no quotes around it: say what is wrong with the quote.
    if (is_quote(c.value)) quoted(true);
    if (!is_operator(c.value)) fail(word, "expected an operator (\"==\"|\"!=\"|\"~=\")");
    const std::string text = take_while([](const Character& next) { return is_operator(next.value); });
    if (text == "==") return Operator::kEqual;
    if (text == "!=") return Operator::kNotEqual;
    if (text == "~=") return Operator::kMatches;
    fail(word, "unsupported operator \"" + text.substr(0, kShown) + "\"");
  }

  std::string value(bool is_pattern) {
    const Character c = start_word();
    if (is_quote(c.value)) return quoted(is_pattern);
    if (c.value == Character::kEnd || is_separator(c.value) || is_operator(c.value))
      fail(at_, "expected value or quoted");
    // Whatever the first character is, it belongs to the value.
    const std::string first(input_.substr(at_, c.size));
    at_ += c.size;
    return first + take_while([&](const Character& next) { return is_value(next, input_.substr(at_, next.size)); });
  }

  template <typename Condition>
  std::string take_while(Condition condition) {
    const size_t begin = at_;
    for (Character c = peek(); condition(c); c = peek()) at_ += c.size;
    return std::string(input_.substr(begin, at_ - begin));
  }

  // Text in quotes, without them. Errors lie at the opening quote, as in containerd.
  std::string quoted(bool any_quote) {
    const size_t begin = at_;
    const int32_t quote = next().value;
    std::string text;
    bool in_range = true;
    while (true) {
      const size_t from = at_;
      const Character c = next();
      if (c.value == Character::kBad) fail(begin, c.reason);
      if (c.value == Character::kEnd || c.value == '\n') fail(begin, "quoted literal not terminated");
      if (c.value == quote) break;
      if (c.value == '\\') {
        in_range &= escape(begin, quote, text);
      } else {
        text += input_.substr(from, c.size);
      }
    }
    if (!any_quote && quote != '"') fail(begin, "invalid quote encountered");
    if (!in_range) fail(begin, "unquoting failed: quote syntax error");
    return text;
  }

  // What follows a backslash, added to `text`. Returns false for a number that is no byte or character.
  bool escape(size_t begin, int32_t quote, std::string& text) {
    const Character c = next();
    if (c.value == Character::kBad) fail(begin, c.reason);
    if (c.value == quote || c.value == '\\') {
      text += static_cast<char>(c.value);
      return true;
    }
    static constexpr std::string_view kNames = "abfnrtv", kMeanings = "\a\b\f\n\r\t\v";
    if (const size_t i = c.value > 0 && c.value < 0x80 ? kNames.find(static_cast<char>(c.value)) : kNames.npos;
        i != kNames.npos) {
      text += kMeanings[i];
      return true;
    }
    if (c.value >= '0' && c.value <= '7') {
      const uint32_t byte = number(begin, 8, 2, static_cast<uint32_t>(c.value - '0'));
      text += static_cast<char>(byte);
      return byte < 256;
    }
    if (c.value == 'x') {
      text += static_cast<char>(number(begin, 16, 2, 0));
      return true;
    }
    if (c.value != 'u' && c.value != 'U') fail(begin, "illegal escape sequence");
    const uint32_t character = number(begin, 16, c.value == 'u' ? 4 : 8, 0);
    if (character > 0x10ffff) return false;
    append_utf8(text, character);
    return true;
  }

  // Takes exactly `count` digits; they go on the number `so_far`.
  uint32_t number(size_t begin, int base, int count, uint32_t so_far) {
    for (; count > 0; --count) {
      const Character c = next();
      if (c.value == Character::kBad) fail(begin, c.reason);
      if (digit(c.value) >= base) fail(begin, "illegal numeric escape sequence");
      so_far = so_far * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit(c.value));
    }
    return so_far;
  }

  std::string_view input_;
  size_t at_ = 0;
};

namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(Code::kInvalidArgument, "filters: " + why);
}

// Null when `text` is no regular expression. RE2 is what Go's regexp follows, and is linear in time on any input.
std::shared_ptr<const re2::RE2> compile(const std::string& text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(static_cast<int64_t>(kMaxPatternMemory));
  options.set_never_capture(true);
  auto pattern = std::make_shared<const re2::RE2>(text, options);
  if (pattern->error_code() == re2::RE2::ErrorPatternTooLarge) {
    refuse("regular expression \"" + printable(std::string_view(text).substr(0, kShown)) + "\" is too large");
  }
  return pattern->ok() ? std::move(pattern) : nullptr;
}

}  // namespace

Filter Filter::parse(std::span<const std::string> filters) {
  size_t bytes = 0;
  for (const std::string& text : filters) bytes += text.size();
  if (bytes > kMaxFilterBytes) {
    refuse(std::to_string(bytes) + " bytes of filters, at most " + std::to_string(kMaxFilterBytes) + " are accepted");
  }
  Filter made;
  size_t selectors = 0, patterns = 0;
  for (const std::string& text : filters) {
    // An empty filter is one that demands nothing.
    auto all = text.empty() ? std::vector<Selector>() : FilterParser(text).selectors();
    selectors += std::max<size_t>(all.size(), 1);
    if (selectors > kMaxSelectors) refuse("more than " + std::to_string(kMaxSelectors) + " selectors");
    for (Selector& selector : all) {
      if (selector.op != Operator::kMatches) continue;
      if (++patterns > kMaxPatterns) refuse("more than " + std::to_string(kMaxPatterns) + " regular expressions");
      selector.pattern = compile(selector.value);
    }
    made.any_of_.push_back(std::move(all));
  }
  return made;
}

bool Filter::matches(const Adaptor& object) const {
  if (any_of_.empty()) return true;
  return std::any_of(any_of_.begin(), any_of_.end(), [&](const std::vector<Selector>& all) {
    return std::all_of(all.begin(), all.end(), [&](const Selector& selector) { return selector.matches(object); });
  });
}

bool Filter::Selector::matches(const Adaptor& object) const {
  const std::optional<std::string_view> found = object.field(path);
  // A field that is not there reads as empty: `!=` and `~=` look at that.
  const std::string_view text = found.value_or(std::string_view());
  switch (op) {
    case Operator::kPresent:
      return found.has_value();
    case Operator::kEqual:
      return found.has_value() && text == value;
    case Operator::kNotEqual:
      return text != value;
    case Operator::kMatches:
      return pattern && re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern);
  }
  return false;
}

std::optional<std::string_view> BlobAdaptor::field(std::span<const std::string> path) const {
  if (path.front() == "digest") return digest_;
  if (path.front() != "labels" || labels_.empty()) return std::nullopt;
  std::string key;
  for (size_t i = 1; i < path.size(); ++i) key += (i > 1 ? "." : "") + path[i];
  const auto found = labels_.find(key);
  if (found == labels_.end()) return std::nullopt;
  return found->second;
}

std::optional<std::string_view> IngestAdaptor::field(std::span<const std::string> path) const {
  if (path.front() == "ref") return ref_;
  return std::nullopt;
}

}  // namespace ipcs::content
