// A JSON text from elsewhere: checked against limits, read as values, and changed in places without touching the rest.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::oci {

// Where a value lies in its text, and its parts in their order.
struct JsonSpan {
  size_t begin = 0;
  size_t end = 0;
  std::vector<std::string> keys;   // of an object
  std::vector<JsonSpan> elements;  // of an array, or the values of an object, in their order

  // The member called `key`, or null.
  const JsonSpan* find(std::string_view key) const noexcept;
};

// Limits: at most 64 levels and 250,000 values; an object says each key once, since readers disagree about which
// counts.
class JsonText {
 public:
  // Throws Error kInvalidArgument beginning with `name`.
  static JsonText parse(std::string text, std::string_view name);

  const std::string& text() const noexcept { return text_; }
  const nlohmann::json& value() const noexcept { return value_; }
  const JsonSpan& root() const noexcept { return root_; }
  std::string_view at(const JsonSpan& span) const noexcept {
    return std::string_view(text_).substr(span.begin, span.end - span.begin);
  }

 private:
  JsonText() = default;

  std::string text_;
  nlohmann::json value_;
  JsonSpan root_;
};

// `text` as a JSON string; what is not UTF-8 in it is replaced.
std::string json_quote(std::string_view text);

// Changes to one text, applied together; everything that is not named stays byte for byte.
class JsonEdit {
 public:
  explicit JsonEdit(const JsonText& document) : document_(document) {}

  // Puts `json` in the place of the value at `span`.
  void replace(const JsonSpan& span, std::string json);
  // Sets the member of the object at `object`; a new one becomes its last. At most one new member an object and key.
  void set(const JsonSpan& object, std::string_view key, std::string json);
  // The changed text.
  std::string apply();

 private:
  struct Change {
    size_t begin;
    size_t end;
    std::string text;
  };

  const JsonText& document_;
  std::vector<Change> changes_;
};

}  // namespace ipcs::oci
