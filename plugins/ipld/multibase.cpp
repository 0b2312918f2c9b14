// Multibase: RFC 4648 for bases 16 and 32, division of one long number for 36 and 58.
#include "ipld/multibase.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

constexpr std::string_view kDigits58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view kDigits36 = "0123456789abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kDigits16 = "0123456789abcdef";

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw Error(Code::kInvalidArgument, fmt::format("\"{}\": {}", shown(text), why));
}

// Values of an alphabet's characters; -1 for all others.
std::array<int8_t, 256> values_of(std::string_view digits) {
  std::array<int8_t, 256> values;
  values.fill(-1);
  for (size_t i = 0; i < digits.size(); ++i) values[static_cast<uint8_t>(digits[i])] = static_cast<int8_t>(i);
  return values;
}

std::string encode_number(std::string_view digits, BytesView bytes) {
  const auto base = static_cast<unsigned>(digits.size());
  const size_t zeros = std::find_if(bytes.begin(), bytes.end(), [](uint8_t b) { return b != 0; }) - bytes.begin();
  std::vector<uint8_t> number;  // digits, least first
  for (const uint8_t byte : bytes.subspan(zeros)) {
    unsigned carry = byte;
    for (uint8_t& digit : number) {
      carry += unsigned{digit} << 8;
      digit = static_cast<uint8_t>(carry % base);
      carry /= base;
    }
    for (; carry != 0; carry /= base) number.push_back(static_cast<uint8_t>(carry % base));
  }
  std::string text(zeros, digits[0]);
  for (auto digit = number.rbegin(); digit != number.rend(); ++digit) text += digits[*digit];
  return text;
}

Bytes decode_number(std::string_view digits, std::string_view text) {
  const auto values = values_of(digits);
  const auto base = static_cast<unsigned>(digits.size());
  const size_t zeros = std::min(text.find_first_not_of(digits[0]), text.size());
  Bytes number;  // bytes, least first
  for (const char c : text.substr(zeros)) {
    const int value = values[static_cast<uint8_t>(c)];
    if (value < 0) refuse(text, fmt::format("a character is not of base {}", base));
    auto carry = static_cast<unsigned>(value);
    for (uint8_t& byte : number) {
      carry += byte * base;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    if (carry != 0) number.push_back(static_cast<uint8_t>(carry));
  }
  Bytes bytes(zeros, 0);
  bytes.insert(bytes.end(), number.rbegin(), number.rend());
  return bytes;
}

// Bases of 2^bits, without padding.
std::string encode_bits(std::string_view digits, unsigned bits, BytesView bytes) {
  std::string text;
  unsigned pending = 0, count = 0;
  for (const uint8_t byte : bytes) {
    pending = pending << 8 | byte;
    count += 8;
    for (; count >= bits; count -= bits) text += digits[pending >> (count - bits) & ((1u << bits) - 1)];
    pending &= (1u << count) - 1;
  }
  if (count > 0) text += digits[pending << (bits - count)];
  return text;
}

Bytes decode_bits(std::string_view digits, unsigned bits, std::string_view text) {
  const auto values = values_of(digits);
  Bytes bytes;
  unsigned pending = 0, count = 0;
  for (const char c : text) {
    const int value = values[static_cast<uint8_t>(c)];
    if (value < 0) refuse(text, fmt::format("a character is not of base {}", digits.size()));
    pending = pending << bits | static_cast<unsigned>(value);
    count += bits;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<uint8_t>(pending >> count));
      pending &= (1u << count) - 1;
    }
  }
  if (count >= bits || pending != 0) refuse(text, "it has bits left over");
  return bytes;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    // A letter of the other case is none of the base's digits.
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    } else if (c >= 'a' && c <= 'z') {
      c = '?';
    }
  }
  return result;
}

void require_short(std::string_view text) {
  if (text.size() > kMaxMultibaseSize) refuse(text, fmt::format("it is longer than {} characters", kMaxMultibaseSize));
}

}  // namespace

std::string encode_multibase(Base base, BytesView bytes) {
  std::string text(1, static_cast<char>(base));
  switch (base) {
    case Base::kBase58Btc:
      return text + encode_number(kDigits58, bytes);
    case Base::kBase36:
      return text + encode_number(kDigits36, bytes);
    case Base::kBase32:
      return text + encode_bits(kDigits32, 5, bytes);
    case Base::kBase16:
      return text + encode_bits(kDigits16, 4, bytes);
  }
  throw Error(Code::kInternal, "unknown base");
}

Bytes decode_multibase(std::string_view text) {
  if (text.empty()) throw Error(Code::kInvalidArgument, "empty text has no multibase prefix");
  require_short(text);
  const std::string_view rest = text.substr(1);
  switch (text[0]) {
    case 'z':
      return decode_number(kDigits58, rest);
    case 'k':
      return decode_number(kDigits36, rest);
    case 'K':
      return decode_number(kDigits36, lower(rest));
    case 'b':
      return decode_bits(kDigits32, 5, rest);
    case 'B':
      return decode_bits(kDigits32, 5, lower(rest));
    case 'f':
      return decode_bits(kDigits16, 4, rest);
    case 'F':
      return decode_bits(kDigits16, 4, lower(rest));
    default:
      refuse(text, "it begins with none of the bases z (58), b (32), k (36), f (16)");
  }
}

std::string encode_base58(BytesView bytes) {
  return encode_number(kDigits58, bytes);
}

Bytes decode_base58(std::string_view text) {
  require_short(text);
  return decode_number(kDigits58, text);
}

Base parse_base(std::string_view name) {
  if (name == "base58btc") return Base::kBase58Btc;
  if (name == "base32") return Base::kBase32;
  if (name == "base36") return Base::kBase36;
  if (name == "base16") return Base::kBase16;
  throw Error(Code::kInvalidArgument,
              fmt::format("\"{}\" is none of the bases base32, base58btc, base36, base16", shown(name)));
}

}  // namespace ipcs::ipld
