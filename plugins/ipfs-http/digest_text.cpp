// Hex, and OpenSSL's digests.
#include "digest_text.hpp"

#include <openssl/evp.h>

#include <array>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {

std::string to_hex(ipld::BytesView bytes) {
  std::string hex;
  for (const uint8_t byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

DigestParts split_digest(std::string_view digest) {
  const size_t colon = digest.find(':');
  const std::string_view algorithm = digest.substr(0, std::min(colon, digest.size()));
  const std::string_view hex = colon == std::string_view::npos ? std::string_view() : digest.substr(colon + 1);
  const size_t digits = algorithm == "sha256" ? 64 : algorithm == "sha384" ? 96 : algorithm == "sha512" ? 128 : 0;
  bool sound = digits != 0 && hex.size() == digits;
  for (const char c : hex) sound = sound && nibble(c) >= 0;
  if (!sound) throw Error(Code::kInvalidArgument, "\"" + std::string(digest) + "\" is no digest");
  return {algorithm, hex};
}

std::optional<ipld::Cid> root_of(std::string_view digest) {
  const DigestParts parts = split_digest(digest);
  if (parts.algorithm != "sha256") return std::nullopt;
  std::array<uint8_t, 32> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(nibble(parts.hex[2 * i]) * 16 + nibble(parts.hex[2 * i + 1]));
  return ipld::Cid::v0(ipld::Multihash(ipld::HashCode::kSha2_256, bytes));
}

std::optional<std::string> p2p_digest(const ipld::Cid& root) {
  if (root.hash().code() != ipld::HashCode::kSha2_256) return std::nullopt;
  return "sha256:" + to_hex(root.hash().digest());
}

Hasher::Hasher(std::string_view digest) : algorithm_(split_digest(digest).algorithm), context_(EVP_MD_CTX_new()) {
  const EVP_MD* kind = algorithm_ == "sha256" ? EVP_sha256() : algorithm_ == "sha384" ? EVP_sha384() : EVP_sha512();
  EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), kind, nullptr);
}

Hasher::~Hasher() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Hasher::update(ipld::BytesView bytes) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size());
}

std::string Hasher::digest() {
  std::array<uint8_t, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), bytes.data(), &size);
  return algorithm_ + ":" + to_hex(ipld::BytesView(bytes).first(size));
}

}  // namespace ipcs::ipfs_http
