// Multihash: a digest that tells the function it was made with.
#pragma once

#include <array>
#include <compare>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

// Codes of the multicodec table that this room can compute. Every other code can be parsed and written.
enum class HashCode : uint64_t { kIdentity = 0x00, kSha2_256 = 0x12, kSha2_512 = 0x13 };

// "sha2-256", "sha2-512", "identity", or the code as "0x1b". Never fails.
std::string to_string(HashCode code);
// The reverse, of the three names. Throws Error kInvalidArgument that lists them.
HashCode parse_hash_code(std::string_view name);

// Immutable value, without memory of its own.
class Multihash {
 public:
  static constexpr size_t kMaxDigestSize = 128;  // as in Kubo

  // `digest` as it is. Throws Error kInvalidArgument when it is longer than kMaxDigestSize.
  Multihash(HashCode code, BytesView digest);

  // Hashes `bytes`. Throws Error kUnimplemented for a code that can't be computed, kInvalidArgument when bytes are too
  // long for an identity hash.
  static Multihash of(HashCode code, BytesView bytes);

  // Takes one off the front of `bytes`. Throws Error kInvalidArgument unless there is a whole one, of the right size
  // where the function is known.
  static Multihash take(BytesView& bytes);

  HashCode code() const noexcept { return code_; }
  BytesView digest() const noexcept { return BytesView(digest_).first(size_); }

  void append_to(Bytes& out) const;
  Bytes bytes() const;

  // Whether this is the hash of `bytes`. Throws Error kUnimplemented for a code that can't be computed.
  bool matches(BytesView bytes) const;

  friend bool operator==(const Multihash& a, const Multihash& b) noexcept;
  friend std::strong_ordering operator<=>(const Multihash& a, const Multihash& b) noexcept;

 private:
  HashCode code_;
  uint8_t size_;
  std::array<uint8_t, kMaxDigestSize> digest_;  // zeros behind size_
};

}  // namespace ipcs::ipld
