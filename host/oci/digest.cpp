// Digest parsing and hashing with OpenSSL.
#define OPENSSL_SUPPRESS_DEPRECATED  // see the README
#include "oci/digest.hpp"

#include <algorithm>
#include <array>

#include "ipcs/error.hpp"

namespace ipcs::oci {
namespace {

struct Registered {
  Algorithm algorithm;
  std::string_view name;
  size_t hex_digits;
};

constexpr std::array kRegistered{
    Registered{Algorithm::kSha256, "sha256", 64},
    Registered{Algorithm::kSha384, "sha384", 96},
    Registered{Algorithm::kSha512, "sha512", 128},
};

const Registered& entry(Algorithm algorithm) noexcept { return kRegistered[static_cast<size_t>(algorithm)]; }

bool is_lower_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string to_text(Algorithm algorithm, std::span<const uint8_t> raw) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(entry(algorithm).name);
  text.reserve(text.size() + 1 + 2 * raw.size());
  text += ':';
  for (const uint8_t byte : raw) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::string_view to_string(Algorithm algorithm) noexcept { return entry(algorithm).name; }

std::optional<Digest> Digest::try_parse(std::string_view text) noexcept {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view hex = text.substr(colon + 1);
  for (const Registered& r : kRegistered) {
    if (text.substr(0, colon) != r.name) continue;
    if (hex.size() != r.hex_digits || !std::all_of(hex.begin(), hex.end(), is_lower_hex)) return std::nullopt;
    return Digest(r.algorithm, std::string(text));
  }
  return std::nullopt;
}

Digest Digest::parse(std::string_view text) {
  if (auto digest = try_parse(text)) return *std::move(digest);
  // The text may be anything, of any length: the message shows what fits one line.
  std::string shown;
  for (const char c : text.substr(0, 160)) shown += (c >= ' ' && c < 127) ? c : '?';
  if (text.size() > 160) shown += "…";
  throw Error(Code::kInvalidArgument, "\"" + shown + "\" is not a digest (want e.g. sha256:<64 lower-case hex digits>)");
}

Digest Digest::of(std::span<const uint8_t> bytes, Algorithm algorithm) {
  Hasher hasher(algorithm);
  hasher.update(bytes);
  return hasher.digest();
}

Digest Digest::of(std::string_view bytes, Algorithm algorithm) {
  return of(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), algorithm);
}

Hasher::Hasher(Algorithm algorithm) noexcept : algorithm_(algorithm) { reset(); }

// These functions of OpenSSL fail never, but for a null pointer or a state that was ended.
void Hasher::update(std::span<const uint8_t> bytes) noexcept {
  if (auto* state = std::get_if<SHA256_CTX>(&state_)) {
    ::SHA256_Update(state, bytes.data(), bytes.size());
  } else {
    ::SHA512_Update(&std::get<SHA512_CTX>(state_), bytes.data(), bytes.size());
  }
}

Digest Hasher::digest() const {
  std::array<uint8_t, SHA512_DIGEST_LENGTH> raw;
  auto copy = state_;
  if (auto* state = std::get_if<SHA256_CTX>(&copy)) {
    ::SHA256_Final(raw.data(), state);
  } else {
    ::SHA512_Final(raw.data(), &std::get<SHA512_CTX>(copy));  // of as many bytes as the start says
  }
  return Digest(algorithm_, to_text(algorithm_, std::span(raw).first(entry(algorithm_).hex_digits / 2)));
}

void Hasher::reset() noexcept {
  switch (algorithm_) {
    case Algorithm::kSha256:
      ::SHA256_Init(&state_.emplace<SHA256_CTX>());
      break;
    case Algorithm::kSha384:
      ::SHA384_Init(&state_.emplace<SHA512_CTX>());
      break;
    case Algorithm::kSha512:
      ::SHA512_Init(&state_.emplace<SHA512_CTX>());
      break;
  }
}

}  // namespace ipcs::oci
