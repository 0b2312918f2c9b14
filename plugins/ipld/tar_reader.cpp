// Headers of tars, and what may stand before and behind them.
#include "ipld/tar_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

// A field of a header: where it is, how many bytes it has.
struct Field {
  size_t at, size;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kPrefix{345, 155};
constexpr size_t kType = 156, kMagic = 257;
constexpr size_t kSparseGoesOn = 482, kSparseMapGoesOn = 504;  // bytes that are not 0 when a block of the map follows

[[noreturn]] void refuse(uint64_t offset, std::string_view why) {
  throw Error(Code::kInvalidArgument, fmt::format("no tar: at byte {} {}", offset, why));
}

[[noreturn]] void cut_short(uint64_t offset) { refuse(offset, "it ends in the middle of an entry"); }

size_t padding_of(uint64_t size) { return static_cast<size_t>((kTarBlock - size % kTarBlock) % kTarBlock); }

std::string_view text_of(BytesView bytes) {
  const std::string_view text = as_text(bytes);
  return text.substr(0, text.find('\0'));
}
std::string_view text_of(BytesView block, Field field) { return text_of(block.subspan(field.at, field.size)); }

std::optional<uint64_t> octal(BytesView field) {
  std::string_view text = as_text(field);
  constexpr std::string_view kBlank(" \0", 2);
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  text = text.substr(0, text.find_last_not_of(kBlank) + 1);
  text = text.substr(0, text.find('\0'));
  if (text.empty()) return 0;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Octal, or base 256 when the first bit is set; nothing for what is neither, negative, or above 2^63 - 1.
std::optional<uint64_t> number(BytesView field) {
  uint64_t value = 0;
  if ((field[0] & 0x80) != 0) {
    if ((field[0] & 0x40) != 0) return std::nullopt;
    for (size_t i = 0; i < field.size(); ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | (i == 0 ? field[0] & 0x3f : field[i]);
    }
  } else if (const auto read = octal(field)) {
    value = *read;
  } else {
    return std::nullopt;
  }
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return value;
}

bool is_zero(BytesView block) {
  return std::all_of(block.begin(), block.end(), [](uint8_t byte) { return byte == 0; });
}

// Old programs added up signed bytes.
bool checksum_fits(BytesView block) {
  const auto said = octal(block.subspan(kChecksum.at, kChecksum.size));
  if (!said) return false;
  int64_t plain = 0, with_signs = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    const uint8_t byte = i >= kChecksum.at && i < kChecksum.at + kChecksum.size ? ' ' : block[i];
    plain += byte;
    with_signs += static_cast<int8_t>(byte);
  }
  const auto sum = static_cast<int64_t>(*said);
  return sum == plain || sum == with_signs;
}

// What is taken of a PAX header: it counts more than the header behind it.
struct Pax {
  std::optional<uint64_t> size;
  std::string_view path, sparse_name;
};

// "LENGTH KEY=VALUE\n", again and again.
Pax read_pax(std::string_view records, uint64_t offset) {
  Pax pax;
  while (!records.empty()) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<size_t>(end - records.data());
    if (error != std::errc() || length > records.size() || length < digits + 3 || records[digits] != ' ' ||
        records[length - 1] != '\n')
      refuse(offset, "there is a bad PAX record");
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equal = record.find('=');
    if (equal == std::string_view::npos || equal == 0) refuse(offset, "there is a bad PAX record");
    const std::string_view key = record.substr(0, equal), value = record.substr(equal + 1);
    if (key == "path") pax.path = value;
    if (key == "GNU.sparse.name") pax.sparse_name = value;
    if (key != "size") continue;
    pax.size.reset();
    if (value.empty()) continue;  // that of the header holds
    int64_t size = 0;
    const auto [stop, bad] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (bad != std::errc() || stop != value.data() + value.size() || size < 0)
      refuse(offset, "a PAX record has a bad size");
    pax.size = static_cast<uint64_t>(size);
  }
  return pax;
}

// Hard and symbolic links, devices, directories and pipes have no data, whatever size they say.
bool has_data(char type, std::string_view path) {
  if (type == '\0') return !path.ends_with('/');  // a directory of a time before there was a type for them
  return type < '1' || type > '6';
}

}  // namespace

std::optional<TarEntry> read_tar_entry(BytesView bytes, bool whole, uint64_t offset) {
  TarEntry entry;
  Pax pax;
  std::string_view long_name;
  const auto short_of = [&](size_t wanted) {
    if (bytes.size() - entry.head >= wanted) return false;
    if (whole) cut_short(offset + bytes.size());
    return true;
  };
  for (;;) {
    if (entry.head > 0 && whole && bytes.size() == entry.head) return entry;  // nothing follows a long name; Go minds not
    if (short_of(kTarBlock)) return std::nullopt;
    const uint64_t here = offset + entry.head;
    const BytesView block = bytes.subspan(entry.head, kTarBlock);
    if (is_zero(block)) {
      if (entry.head > 0) return entry;
      entry.end = true;
      if (whole && bytes.size() == kTarBlock) return entry;
      if (short_of(2 * kTarBlock)) return std::nullopt;
      if (!is_zero(bytes.subspan(kTarBlock, kTarBlock))) refuse(here, "there is one empty block where there must be two");
      return entry;
    }
    if (!checksum_fits(block)) refuse(here, "there is no header of an entry");
    const auto size = number(block.subspan(kSize.at, kSize.size));
    if (!size) refuse(here, "a header has a bad size");
    const char type = static_cast<char>(block[kType]);
    if (type == 'x' || type == 'L' || type == 'K') {
      if (*size > kMaxTarExtension) refuse(here, "a long name or PAX header is too long");
      const auto length = static_cast<size_t>(*size);
      if (short_of(kTarBlock + length)) return std::nullopt;
      const BytesView content = bytes.subspan(entry.head + kTarBlock, length);
      if (type == 'x') pax = read_pax(as_text(content), here);
      if (type == 'L') long_name = text_of(content);
      entry.head += kTarBlock + length;
      if (whole && bytes.size() == entry.head) return entry;
      if (short_of(padding_of(length))) return std::nullopt;
      entry.head += padding_of(length);
      continue;
    }

    const std::string_view magic = as_text(block.subspan(kMagic, 8));
    entry.path = text_of(block, kName);
    if (magic.starts_with(std::string_view("ustar\0", 6))) entry.prefix = text_of(block, kPrefix);
    for (const std::string_view longer : {pax.path, long_name, pax.sparse_name}) {
      if (longer.empty()) continue;
      entry.path = longer;
      entry.prefix = {};
    }
    entry.head += kTarBlock;
    if (has_data(type, entry.path)) entry.data = pax.size.value_or(*size);
    entry.padding = padding_of(entry.data);
    // GNU's old sparse files: the map may go on in blocks behind the header.
    bool more = type == 'S' && magic == std::string_view("ustar  \0", 8) && block[kSparseGoesOn] != 0;
    while (more) {
      if (short_of(kTarBlock)) return std::nullopt;
      more = bytes[entry.head + kSparseMapGoesOn] != 0;
      entry.head += kTarBlock;
    }
    return entry;
  }
}

}  // namespace ipcs::ipld
