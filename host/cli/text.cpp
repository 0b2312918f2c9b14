// Formatting and its reverse.
#include "cli/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <ctime>

namespace ipcs::cli {
namespace {

using std::chrono::nanoseconds;

struct Unit {
  std::string_view name;
  int64_t ns;
};

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kLongest = 10 * 365 * 86400 * kSecond;

// Length of the UTF-8 sequence at the start of `text`, 0 when there is none. Surrogates and overlong forms are none.
size_t sequence(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = at(0);
  const size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (size == 0 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) > 0x9f)) return 0;
  if ((lead == 0xf0 && at(1) < 0x90) || (lead == 0xf4 && at(1) > 0x8f)) return 0;
  return size;
}

bool control(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < ' ' || first == 127;
  return character.size() == 2 && first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;  // U+0080 to U+009F
}

}  // namespace

std::string size_text(uint64_t bytes) {
  static constexpr std::array<std::string_view, 7> kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fmt::format("{:.4g}{}", value, kUnits[unit]);
}

std::string age_text(nanoseconds age) {
  static constexpr std::array<Unit, 7> kUnits{{{"year", 365 * 86400 * kSecond},
                                               {"month", 30 * 86400 * kSecond},
                                               {"week", 7 * 86400 * kSecond},
                                               {"day", 86400 * kSecond},
                                               {"hour", 3600 * kSecond},
                                               {"minute", 60 * kSecond},
                                               {"second", kSecond}}};
  for (const Unit& unit : kUnits) {
    if (age.count() >= unit.ns) return counted(static_cast<uint64_t>(age.count() / unit.ns), unit.name);
  }
  return "Less than a second";
}

std::string age_since(int64_t then_ns) {
  if (then_ns == 0) return "-";
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return age_text(std::chrono::duration_cast<nanoseconds>(now) - nanoseconds(then_ns));
}

std::string duration_text(nanoseconds duration) {
  const int64_t ns = duration.count();
  if (ns < kSecond) return fmt::format("{:.3g}ms", static_cast<double>(ns) / 1e6);
  if (ns < 60 * kSecond) return fmt::format("{:.3g}s", static_cast<double>(ns) / 1e9);
  const int64_t seconds = ns / kSecond, hours = seconds / 3600, minutes = seconds / 60 % 60;
  std::string text;
  if (hours > 0) text += fmt::format("{}h", hours);
  if (minutes > 0) text += fmt::format("{}m", minutes);
  if (seconds % 60 > 0) text += fmt::format("{}s", seconds % 60);
  return text;
}

std::optional<nanoseconds> parse_duration(std::string_view text) {
  static constexpr std::array<Unit, 4> kUnits{
      {{"ms", kSecond / 1000}, {"s", kSecond}, {"m", 60 * kSecond}, {"h", 3600 * kSecond}}};
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !(number >= 0)) return std::nullopt;
    const bool bare = end == text.data() + text.size() && total == 0;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const size_t letters = text.find_first_of("0123456789.");
    const std::string_view name = text.substr(0, letters);
    const Unit* unit = bare ? &kUnits[1] : nullptr;
    for (const Unit& each : kUnits) {
      if (each.name == name) unit = &each;
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(name.size());
    total += number * static_cast<double>(unit->ns);
  }
  if (total > static_cast<double>(kLongest)) return std::nullopt;
  return nanoseconds(static_cast<int64_t>(total));
}

std::string time_text(int64_t ns) {
  if (ns == 0) return {};
  int64_t seconds = ns / kSecond, rest = ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  std::string text = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(seconds)));
  if (rest != 0) {
    std::string digits = fmt::format(".{:09}", rest);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += digits;
  }
  return text + 'Z';
}

int64_t to_ns(const google::protobuf::Timestamp& time) {
  return time.seconds() * kSecond + time.nanos();
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = sequence(text);
    if (size == 0 || control(text.substr(0, size))) {
      for (size_t i = 0; i < std::max<size_t>(size, 1); ++i)
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[i]));
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t size = sequence(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

size_t columns(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<uint8_t>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

std::string shortened(std::string_view text, size_t width) {
  if (columns(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::string out;
  size_t used = 0;
  while (used + 1 < width) {
    const size_t size = std::max<size_t>(sequence(text), 1);
    out += text.substr(0, size);
    text.remove_prefix(size);
    ++used;
  }
  return out + "…";
}

std::string counted(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace ipcs::cli
