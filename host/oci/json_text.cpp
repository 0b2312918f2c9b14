// A scanner that finds where values lie; what JSON is, nlohmann's parser decides after it.
#include "oci/json_text.hpp"

#include <algorithm>
#include <unordered_set>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxValues = 250'000;

class Scanner {
 public:
  Scanner(const std::string& text, std::string_view name) : text_(text), name_(name) {}

  JsonSpan run() {
    JsonSpan root = value(0);
    space();
    if (at_ != text_.size()) fail("something follows the value");
    return root;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kInvalidArgument,
                std::string(name_) + ": not usable as JSON: " + what + " at byte " + std::to_string(at_));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  void expect(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) fail(std::string("no '") + c + "'");
    ++at_;
  }

  void skip_string() {
    expect('"');
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) fail("a string without end");
    ++at_;
  }

  std::string key() {
    space();
    const size_t begin = at_;
    skip_string();
    const std::string_view quoted = std::string_view(text_).substr(begin, at_ - begin);
    if (quoted.find('\\') == std::string_view::npos) return std::string(quoted.substr(1, quoted.size() - 2));
    const nlohmann::json parsed = nlohmann::json::parse(quoted, nullptr, false);
    if (!parsed.is_string()) fail("a bad escape in a key");
    return parsed.get<std::string>();
  }

  JsonSpan value(int depth) {
    if (depth > kMaxDepth) fail("more than " + std::to_string(kMaxDepth) + " levels");
    if (++values_ > kMaxValues) fail("more than " + std::to_string(kMaxValues) + " values");
    space();
    JsonSpan span;
    span.begin = at_;
    if (peek() == '{') {
      object(span, depth);
    } else if (peek() == '[') {
      array(span, depth);
    } else if (peek() == '"') {
      skip_string();
    } else {
      const size_t end = text_.find_first_of(" \t\r\n,]}:\"{[", at_);
      at_ = std::min(end, text_.size());
      if (at_ == span.begin) fail("no value");
    }
    span.end = at_;
    return span;
  }

  void object(JsonSpan& span, int depth) {
    ++at_;
    space();
    if (peek() == '}') {
      ++at_;
      return;
    }
    std::unordered_set<std::string> keys;
    for (;;) {
      std::string name = key();
      if (!keys.insert(name).second) fail("\"" + one_line(name, 60) + "\" twice in one object");
      expect(':');
      span.keys.push_back(std::move(name));
      span.elements.push_back(value(depth + 1));
      space();
      if (peek() != ',') break;
      ++at_;
    }
    expect('}');
  }

  void array(JsonSpan& span, int depth) {
    ++at_;
    space();
    if (peek() == ']') {
      ++at_;
      return;
    }
    for (;;) {
      span.elements.push_back(value(depth + 1));
      space();
      if (peek() != ',') break;
      ++at_;
    }
    expect(']');
  }

  const std::string& text_;
  std::string_view name_;
  size_t at_ = 0;
  size_t values_ = 0;
};

}  // namespace

const JsonSpan* JsonSpan::find(std::string_view key) const noexcept {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &elements[static_cast<size_t>(found - keys.begin())];
}

JsonText JsonText::parse(std::string text, std::string_view name) {
  JsonText document;
  document.text_ = std::move(text);
  document.root_ = Scanner(document.text_, name).run();
  document.value_ = nlohmann::json::parse(document.text_, nullptr, false);
  if (document.value_.is_discarded()) throw Error(Code::kInvalidArgument, std::string(name) + ": not JSON");
  return document;
}

std::string json_quote(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void JsonEdit::replace(const JsonSpan& span, std::string json) {
  changes_.push_back({span.begin, span.end, std::move(json)});
}

void JsonEdit::set(const JsonSpan& object, std::string_view key, std::string json) {
  if (const JsonSpan* present = object.find(key)) return replace(*present, std::move(json));
  // After the last member, or after the brace.
  const size_t at = object.elements.empty() ? object.begin + 1 : object.elements.back().end;
  const std::string member = json_quote(key) + ":" + std::move(json);
  const bool first = object.elements.empty() && std::none_of(changes_.begin(), changes_.end(), [&](const Change& c) {
                       return c.begin == at && c.end == at;
                     });
  changes_.push_back({at, at, (first ? "" : ",") + member});
}

std::string JsonEdit::apply() {
  std::stable_sort(changes_.begin(), changes_.end(),
                   [](const Change& a, const Change& b) { return a.begin < b.begin; });
  const std::string& text = document_.text();
  std::string changed;
  size_t at = 0;
  for (const Change& change : changes_) {
    if (change.begin < at) throw Error(Code::kInternal, "overlapping changes of a JSON text");
    changed.append(text, at, change.begin - at);
    changed += change.text;
    at = change.end;
  }
  changed.append(text, at);
  return changed;
}

}  // namespace ipcs::oci
