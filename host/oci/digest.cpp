// Digest parsing and hashing with OpenSSL.
#include "oci/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "ipcs/error.hpp"

namespace ipcs::oci {
namespace {

struct Registered {
  Algorithm algorithm;
  std::string_view name;
  size_t hex_digits;
  const EVP_MD* (*evp)();
};

constexpr std::array kRegistered{
    Registered{Algorithm::kSha256, "sha256", 64, EVP_sha256},
    Registered{Algorithm::kSha384, "sha384", 96, EVP_sha384},
    Registered{Algorithm::kSha512, "sha512", 128, EVP_sha512},
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

[[noreturn]] void fail(const char* what) { throw Error(Code::kInternal, std::string("OpenSSL: ") + what + " failed"); }

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

void Hasher::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

Hasher::Hasher(Algorithm algorithm) : algorithm_(algorithm), context_(EVP_MD_CTX_new()) {
  if (!context_) fail("EVP_MD_CTX_new");
  reset();
}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::update(std::span<const uint8_t> bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) fail("EVP_DigestUpdate");
}

Digest Hasher::digest() const {
  const std::unique_ptr<evp_md_ctx_st, Free> copy(EVP_MD_CTX_new());
  if (!copy || EVP_MD_CTX_copy_ex(copy.get(), context_.get()) != 1) fail("EVP_MD_CTX_copy_ex");
  std::array<uint8_t, EVP_MAX_MD_SIZE> raw;
  unsigned size = 0;
  if (EVP_DigestFinal_ex(copy.get(), raw.data(), &size) != 1) fail("EVP_DigestFinal_ex");
  return Digest(algorithm_, to_text(algorithm_, std::span(raw).first(size)));
}

void Hasher::reset() {
  if (EVP_DigestInit_ex(context_.get(), entry(algorithm_).evp(), nullptr) != 1) fail("EVP_DigestInit_ex");
}

}  // namespace ipcs::oci
