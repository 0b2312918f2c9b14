// Digest keys and label lists.
#include "catalog/encoding.hpp"

#include <limits>
#include <optional>

#include "ipcs/error.hpp"

namespace ipcs::catalog {
namespace {

constexpr size_t kLengthBytes = 4;

int nibble(char hex) noexcept {
  return hex <= '9' ? hex - '0' : hex - 'a' + 10;
}

std::string_view algorithm_name(char hash_bytes) noexcept {
  switch (hash_bytes) {
    case 32:
      return "sha256:";
    case 48:
      return "sha384:";
    case 64:
      return "sha512:";
    default:
      return "";
  }
}

void append_string(std::string& out, const std::string& text) {
  if (text.size() > std::numeric_limits<uint32_t>::max()) {
    throw Error(Code::kInvalidArgument, "a label is longer than 4 GiB");
  }
  for (size_t i = 0; i < kLengthBytes; ++i) out += static_cast<char>(text.size() >> (8 * i));
  out += text;
}

std::optional<std::string> take_string(std::string_view& bytes) {
  if (bytes.size() < kLengthBytes) return std::nullopt;
  size_t size = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) size |= static_cast<size_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  bytes.remove_prefix(kLengthBytes);
  if (bytes.size() < size) return std::nullopt;
  std::string text(bytes.substr(0, size));
  bytes.remove_prefix(size);
  return text;
}

}  // namespace

std::string digest_key(const Digest& digest) {
  const std::string_view hex = digest.hex();
  std::string key;
  key.reserve(1 + hex.size() / 2);
  key += static_cast<char>(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) key += static_cast<char>(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
  return key;
}

Digest digest_of_key(std::string_view key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  if (!key.empty() && key.size() == 1u + static_cast<uint8_t>(key[0])) {
    text = algorithm_name(key[0]);
    text.reserve(text.size() + 2 * key.size());
    for (const char c : key.substr(1)) {
      text += kDigits[static_cast<uint8_t>(c) >> 4];
      text += kDigits[static_cast<uint8_t>(c) & 15];
    }
  }
  if (auto digest = Digest::try_parse(text)) return *std::move(digest);
  throw Error(Code::kDataLoss, "catalog: a row's digest is damaged (" + std::to_string(key.size()) + " bytes)");
}

std::string encode_labels(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    append_string(out, key);
    append_string(out, value);
  }
  return out;
}

Labels decode_labels(std::string_view bytes) {
  Labels labels;
  while (!bytes.empty()) {
    auto key = take_string(bytes);
    auto value = key ? take_string(bytes) : std::nullopt;
    if (!value) throw Error(Code::kDataLoss, "catalog: a row's labels are damaged");
    labels.insert_or_assign(*std::move(key), *std::move(value));
  }
  return labels;
}

}  // namespace ipcs::catalog
