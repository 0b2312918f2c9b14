// Fields of a header block, read as tolerantly as containerd's reader does and no more.
#include "diff/tar_header.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace ipcs::diff {
namespace {

using Field = std::span<const uint8_t>;

Field field(const TarBlock& block, size_t offset, size_t size) { return Field(block).subspan(offset, size); }

bool begins(const TarBlock& block, size_t offset, std::string_view text) {
  return std::equal(text.begin(), text.end(), block.begin() + static_cast<ptrdiff_t>(offset),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

bool is_blank(uint8_t c) { return c == ' ' || c == 0; }

std::optional<int64_t> try_octal(Field text) {
  while (!text.empty() && is_blank(text.front())) text = text.subspan(1);
  while (!text.empty() && is_blank(text.back())) text = text.first(text.size() - 1);
  uint64_t value = 0;
  for (const uint8_t c : text) {
    if (c == 0 && &c != text.data()) break;
    if (c < '0' || c > '7' || value >> 61 != 0) return std::nullopt;
    value = value << 3 | (c - '0');
  }
  return static_cast<int64_t>(value);
}

// Two's complement, most significant byte first, behind a bit that is set.
std::optional<int64_t> try_base256(Field text) {
  const uint8_t invert = (text[0] & 0x40) != 0 ? 0xff : 0;
  uint64_t value = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t c = text[i] ^ invert;
    if (i == 0) c &= 0x7f;
    if (value >> 56 != 0) return std::nullopt;
    value = value << 8 | c;
  }
  if (value >> 63 != 0) return std::nullopt;
  return invert != 0 ? ~static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

std::optional<int64_t> try_number(Field text) {
  return (text[0] & 0x80) != 0 ? try_base256(text) : try_octal(text);
}

bool is_plain_text(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != 0; });
}

// Access time and prefix share their place with a prefix that writers by mistake put there.
std::string read_gnu_times(const TarBlock& block, TarEntry& entry) {
  const Field accessed = field(block, 345, 12), changed = field(block, 357, 12);
  const auto read = [](Field text) { return text[0] == 0 ? std::optional<int64_t>(0) : try_number(text); };
  const auto access = read(accessed), change = read(changed);
  if (access && change) {
    if (accessed[0] != 0) entry.accessed = Time{*access, 0};
    return {};
  }
  std::string prefix = parse_text(field(block, 345, 155));
  return is_plain_text(prefix) ? prefix : std::string();
}

}  // namespace

void bad_archive(const std::string& what) { throw Error(Code::kInvalidArgument, "invalid archive: " + what); }

int64_t parse_number(Field text) {
  const auto value = try_number(text);
  if (!value) bad_archive("a number in a header is none, or too large");
  return *value;
}

std::string parse_text(Field text) {
  const auto end = std::find(text.begin(), text.end(), uint8_t{0});
  return std::string(text.begin(), end);
}

int64_t parse_decimal(std::string_view text, const char* what) {
  std::string_view digits = text;
  if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool two_signs = digits.size() < text.size() && digits.starts_with('-');
  if (error != std::errc() || end != digits.data() + digits.size() || two_signs)
    bad_archive(std::string(what) + " is not a number");
  return value;
}

TarFormat format_of(const TarBlock& block) {
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const uint8_t c = i >= 148 && i < 156 ? uint8_t{' '} : block[i];
    sum += c;
    signed_sum += static_cast<int8_t>(c);
  }
  const auto expected = try_octal(field(block, 148, 8));
  if (!expected || (*expected != sum && *expected != signed_sum)) bad_archive("a header's checksum is wrong");
  if (begins(block, 257, std::string_view("ustar\0", 6)))
    return begins(block, 508, std::string_view("tar\0", 4)) ? TarFormat::kStar : TarFormat::kUstar;
  if (begins(block, 257, std::string_view("ustar  \0", 8))) return TarFormat::kGnu;
  return TarFormat::kOld;
}

TarEntry parse_header(const TarBlock& block) {
  const TarFormat format = format_of(block);
  TarEntry entry;
  entry.type = static_cast<char>(block[156]);
  entry.name = parse_text(field(block, 0, 100));
  entry.link = parse_text(field(block, 157, 100));
  entry.size = parse_number(field(block, 124, 12));
  entry.mode = parse_number(field(block, 100, 8));
  entry.uid = parse_number(field(block, 108, 8));
  entry.gid = parse_number(field(block, 116, 8));
  entry.modified = {parse_number(field(block, 136, 12)), 0};
  if (format == TarFormat::kOld) return entry;

  entry.device_major = parse_number(field(block, 329, 8));
  entry.device_minor = parse_number(field(block, 337, 8));
  std::string prefix;
  if (format == TarFormat::kUstar) {
    prefix = parse_text(field(block, 345, 155));
  } else if (format == TarFormat::kStar) {
    prefix = parse_text(field(block, 345, 131));
    entry.accessed = Time{parse_number(field(block, 476, 12)), 0};
    parse_number(field(block, 488, 12));
  } else {
    prefix = read_gnu_times(block, entry);
  }
  if (!prefix.empty()) entry.name = prefix + "/" + entry.name;
  return entry;
}

}  // namespace ipcs::diff
