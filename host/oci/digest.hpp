// Content digests as the OCI image specification writes them: "<algorithm>:<lower-case hex>".
#pragma once

#include <openssl/sha.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace ipcs::oci {

enum class Algorithm { kSha256, kSha384, kSha512 };

// "sha256", "sha384" or "sha512".
std::string_view to_string(Algorithm algorithm) noexcept;

// A valid digest. Immutable value.
class Digest {
 public:
  // Throws Error kInvalidArgument naming `text` unless it is a registered algorithm, ':' and the right number of
  // lower-case hex digits.
  static Digest parse(std::string_view text);
  // The same without throwing.
  static std::optional<Digest> try_parse(std::string_view text) noexcept;
  // The digest of `bytes`.
  static Digest of(std::span<const uint8_t> bytes, Algorithm algorithm = Algorithm::kSha256);
  static Digest of(std::string_view bytes, Algorithm algorithm = Algorithm::kSha256);

  const std::string& to_string() const noexcept { return text_; }
  Algorithm algorithm() const noexcept { return algorithm_; }
  std::string_view hex() const noexcept { return std::string_view(text_).substr(text_.find(':') + 1); }

  friend auto operator<=>(const Digest& a, const Digest& b) noexcept { return a.text_ <=> b.text_; }
  friend bool operator==(const Digest& a, const Digest& b) noexcept { return a.text_ == b.text_; }

 private:
  friend class Hasher;
  Digest(Algorithm algorithm, std::string text) noexcept : algorithm_(algorithm), text_(std::move(text)) {}

  Algorithm algorithm_;
  std::string text_;
};

// Computes a digest over bytes that arrive bit by bit. A value; one thread at a time.
class Hasher {
 public:
  explicit Hasher(Algorithm algorithm = Algorithm::kSha256) noexcept;

  void update(std::span<const uint8_t> bytes) noexcept;
  // The digest of everything so far; more may follow.
  Digest digest() const;
  // Forgets what was hashed.
  void reset() noexcept;
  Algorithm algorithm() const noexcept { return algorithm_; }

 private:
  Algorithm algorithm_;
  std::variant<SHA256_CTX, SHA512_CTX> state_;  // SHA-384 is SHA-512 from another start, and cut
};

}  // namespace ipcs::oci

template <>
struct std::hash<ipcs::oci::Digest> {
  size_t operator()(const ipcs::oci::Digest& digest) const noexcept { return std::hash<std::string>{}(digest.to_string()); }
};
