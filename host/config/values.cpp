// Checks of single values.
#include "config/values.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::config {
namespace {

[[noreturn]] void refuse(const std::string& predicate) {
  throw Error(Code::kInvalidArgument, predicate);
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) noexcept {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}

bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 32 && is_lower(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
}

std::optional<uint32_t> to_number(std::string_view digits, int base) noexcept {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// Looks up a name with getpwnam_r or getgrnam_r, whose signatures differ in the record alone.
template <class Record, class Lookup>
std::optional<Record> look_up(const std::string& name, Lookup lookup) {
  Record record{};
  Record* found = nullptr;
  std::vector<char> buffer(1024);
  while (lookup(name.c_str(), &record, buffer.data(), buffer.size(), &found) == ERANGE && buffer.size() < 1 << 20)
    buffer.resize(2 * buffer.size());
  if (found == nullptr) return std::nullopt;
  return record;  // its ids; the strings went with the buffer
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c < 127) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kShown = 80;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    if (c == '"' || c == '\\') out += '\\';
    out += one_line({&c, 1});
  }
  if (text.size() > kShown) out += "...";
  return out + '"';
}

std::string to_path(std::string_view text) {
  if (text.empty() || text[0] != '/') refuse("wants an absolute path, not " + in_quotes(text));
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }))
    refuse("wants a path without control characters, not " + in_quotes(text));
  std::string path = std::filesystem::path(text).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string to_socket_path(std::string_view text) {
  constexpr std::string_view kScheme = "unix://";
  if (text.starts_with(kScheme)) text.remove_prefix(kScheme.size());
  std::string path = to_path(text);
  if (path.size() > kSocketPathMax) {
    refuse(fmt::format("is {} bytes long, but the path of a unix socket has at most {}: {}", path.size(),
                       kSocketPathMax, in_quotes(path)));
  }
  return path;
}

std::string to_host_port(std::string_view text) {
  if (text.empty()) return {};
  const auto wrong = [&] { refuse("wants host:port, e.g. \"127.0.0.1:9095\", not " + in_quotes(text)); };
  if (text.starts_with('[')) refuse("wants an IPv4 address or a host name, not " + in_quotes(text));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) wrong();
  const std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  const auto fits = [](char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '-'; };
  if (host.empty() || host.size() > 253 || !std::all_of(host.begin(), host.end(), fits)) wrong();
  const auto number = to_number(port, 10);
  if (!number || *number == 0 || *number > 65535) wrong();
  return std::string(text);
}

std::string to_plugin_name(std::string_view text) {
  if (!is_name(text)) refuse("wants a plugin's name (a-z, then a-z, 0-9 and -, at most 32), not " + in_quotes(text));
  return std::string(text);
}

std::string to_client_name(std::string_view text) {
  if (!is_name(text)) refuse("wants a name (a-z, then a-z, 0-9 and -, at most 32), not " + in_quotes(text));
  if (text == "operator") refuse("can't be \"operator\": that is the client behind the control socket");
  return std::string(text);
}

std::chrono::milliseconds to_look_up_timeout(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds(0);
  std::string_view digits = text;
  int64_t unit = 0;  // in milliseconds
  if (digits.ends_with("ms")) {
    unit = 1;
    digits.remove_suffix(2);
  } else if (digits.ends_with('s')) {
    unit = 1000;
    digits.remove_suffix(1);
  }
  const auto number = to_number(digits, 10);
  if (unit == 0 || !number || *number > 10'000 / unit)
    refuse("wants a time such as \"100ms\" or \"1s\", at most \"10s\", or \"0\", not " + in_quotes(text));
  return std::chrono::milliseconds(*number * unit);
}

uint64_t to_size(std::string_view text) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  std::string_view digits = text;
  int shift = 0;
  for (int i = 0; i < 4; ++i) {
    if (!digits.ends_with(kUnits[i])) continue;
    digits.remove_suffix(kUnits[i].size());
    shift = 10 * (i + 1);
    break;
  }
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool good = error == std::errc() && end == digits.data() + digits.size() && number <= (UINT64_MAX >> 1) >> shift;
  if (!good) refuse("wants a number of bytes such as \"64GiB\", or \"0\", not " + in_quotes(text));
  return number << shift;
}

mode_t to_mode(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with("0o")) digits.remove_prefix(2);
  const auto mode = to_number(digits, 8);
  if (!mode || *mode > 0777) refuse("wants octal permissions, \"0660\" or 0o660, at most 0777, not " + in_quotes(text));
  return *mode;
}

log::Level to_level(std::string_view text) {
  try {
    return log::parse_level(text);
  } catch (const Error&) {
    throw Error(Code::kInvalidArgument, "wants \"debug\", \"info\", \"warn\" or \"error\", not " + in_quotes(text));
  }
}

log::Format to_format(std::string_view text) {
  try {
    return log::parse_format(text);
  } catch (const Error&) {
    throw Error(Code::kInvalidArgument, "wants \"text\" or \"json\", not " + in_quotes(text));
  }
}

uid_t to_uid(std::string_view text) {
  const auto number = to_number(text, 10);
  if (number && *number != static_cast<uid_t>(-1)) return *number;
  const auto user =
      text.find('\0') == std::string_view::npos ? look_up<passwd>(std::string(text), ::getpwnam_r) : std::nullopt;
  if (!user) refuse("names no user that exists: " + in_quotes(text));
  return user->pw_uid;
}

gid_t to_gid(std::string_view text) {
  const auto number = to_number(text, 10);
  if (number && *number != static_cast<gid_t>(-1)) return *number;
  const auto group =
      text.find('\0') == std::string_view::npos ? look_up<::group>(std::string(text), ::getgrnam_r) : std::nullopt;
  if (!group) refuse("names no group that exists: " + in_quotes(text));
  return group->gr_gid;
}

}  // namespace ipcs::config
