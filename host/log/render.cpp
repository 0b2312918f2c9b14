// Renders a record as logfmt text or JSON.
#include "log/render.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace ipcs::log {
namespace {

// A decoded character, or a byte that begins none.
struct Character {
  char32_t code = 0;
  size_t size = 1;  // bytes taken
  bool valid = false;
};

// Decodes the first character of `text`, which is not empty. Overlong forms, surrogates and cut sequences are invalid.
Character decode(std::string_view text) noexcept {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return {first, 1, true};
  size_t size = 4;
  if (first < 0xF0) size = 3;
  if (first < 0xE0) size = 2;
  if (first < 0xC2 || first > 0xF4 || size > text.size()) return {};
  char32_t code = first & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (at(i) & 0x3Fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, size, true};
}

// Characters that end a line, move the cursor or turn the text's direction.
bool is_hidden(char32_t code) noexcept {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF || code >= 0xE0000;
}

void append_quoted(std::string& line, std::string_view value) {
  const auto out = std::back_inserter(line);
  line += '"';
  while (!value.empty()) {
    const Character c = decode(value);
    if (!c.valid) {
      fmt::format_to(out, "\\x{:02x}", static_cast<unsigned char>(value[0]));
    } else if (c.code == '"' || c.code == '\\') {
      line += '\\';
      line += static_cast<char>(c.code);
    } else if (c.code == '\n') {
      line += "\\n";
    } else if (c.code == '\r') {
      line += "\\r";
    } else if (c.code == '\t') {
      line += "\\t";
    } else if (is_hidden(c.code) && c.code > 0xFFFF) {
      fmt::format_to(out, "\\U{:08x}", static_cast<uint32_t>(c.code));
    } else if (is_hidden(c.code)) {
      fmt::format_to(out, "\\u{:04x}", static_cast<uint32_t>(c.code));
    } else {
      line += value.substr(0, c.size);
    }
    value.remove_prefix(c.size);
  }
  line += '"';
}

bool is_bare(std::string_view value) noexcept {
  for (const char c : value) {
    if (c <= ' ' || c >= 127 || c == '"' || c == '=' || c == '\\') return false;
  }
  return !value.empty();
}

std::string key_of(std::string_view name) {
  std::string key;
  // A field must not pass for one of the three that every line has.
  if (name == "time" || name == "level" || name == "msg") key = "fields.";
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    key += plain ? c : '_';
  }
  return key.empty() ? "_" : key;
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = micros / 1'000'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06d}Z", fmt::gmtime(seconds), micros % 1'000'000);
}

}  // namespace

std::string_view to_string(Level level) noexcept {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::string render_text(std::chrono::system_clock::time_point time, Level level, std::string_view message,
                        Fields fields) {
  std::string line = fmt::format("time={} level={} msg=", time_text(time), to_string(level));
  append_quoted(line, message);
  for (const Field& field : fields) {
    line += ' ';
    line += key_of(field.first);
    line += '=';
    if (is_bare(field.second)) {
      line += field.second;
    } else {
      append_quoted(line, field.second);
    }
  }
  return line;
}

std::string render_json(std::chrono::system_clock::time_point time, Level level, std::string_view message,
                        Fields fields) {
  nlohmann::ordered_json line;
  line["time"] = time_text(time);
  line["level"] = to_string(level);
  line["msg"] = message;
  for (const Field& field : fields) line[key_of(field.first)] = field.second;
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ipcs::log
