// Multihash: parsing, writing and hashing.
#include "ipld/multihash.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>

#include "ipcs/error.hpp"
#include "ipld/sha256.hpp"
#include "ipld/varint.hpp"

namespace ipcs::ipld {
namespace {

// Bytes of a known function's digest; 0 where any size is right.
size_t digest_size(HashCode code) noexcept {
  if (code == HashCode::kSha2_256) return SHA256_DIGEST_LENGTH;
  if (code == HashCode::kSha2_512) return SHA512_DIGEST_LENGTH;
  return 0;
}

}  // namespace

std::string to_string(HashCode code) {
  switch (code) {
    case HashCode::kIdentity:
      return "identity";
    case HashCode::kSha2_256:
      return "sha2-256";
    case HashCode::kSha2_512:
      return "sha2-512";
  }
  return fmt::format("0x{:x}", static_cast<uint64_t>(code));
}

HashCode parse_hash_code(std::string_view name) {
  for (const HashCode code : {HashCode::kIdentity, HashCode::kSha2_256, HashCode::kSha2_512}) {
    if (name == to_string(code)) return code;
  }
  throw Error(Code::kInvalidArgument,
              fmt::format("\"{}\" is none of the hash functions sha2-256, sha2-512, identity", shown(name)));
}

Multihash::Multihash(HashCode code, BytesView digest) : code_(code), size_(0), digest_{} {
  if (digest.size() > kMaxDigestSize)
    throw Error(Code::kInvalidArgument, fmt::format("a {} digest of {} bytes is longer than {}", to_string(code),
                                                    digest.size(), kMaxDigestSize));
  size_ = static_cast<uint8_t>(digest.size());
  std::copy(digest.begin(), digest.end(), digest_.begin());
}

Multihash Multihash::of(HashCode code, BytesView bytes) {
  switch (code) {
    case HashCode::kIdentity:
      return Multihash(code, bytes);
    case HashCode::kSha2_256:
      return Multihash(code, Sha256::of(bytes));
    case HashCode::kSha2_512: {
      std::array<uint8_t, SHA512_DIGEST_LENGTH> digest;
      ::SHA512(bytes.data(), bytes.size(), digest.data());
      return Multihash(code, digest);
    }
  }
  throw Error(Code::kUnimplemented, fmt::format("the hash function {} can't be computed here", to_string(code)));
}

Multihash Multihash::take(BytesView& bytes) {
  BytesView rest = bytes;
  const auto code = static_cast<HashCode>(take_varint(rest, "multihash"));
  const uint64_t size = take_varint(rest, "multihash");
  if (size > rest.size())
    throw Error(Code::kInvalidArgument,
                fmt::format("multihash: a digest of {} bytes where {} are left", size, rest.size()));
  if (const size_t right = digest_size(code); right != 0 && size != right)
    throw Error(Code::kInvalidArgument, fmt::format("multihash: a {} digest of {} bytes", to_string(code), size));
  const Multihash result(code, rest.first(size));
  bytes = rest.subspan(size);
  return result;
}

void Multihash::append_to(Bytes& out) const {
  append_varint(out, static_cast<uint64_t>(code_));
  append_varint(out, size_);
  out.insert(out.end(), digest_.begin(), digest_.begin() + size_);
}

Bytes Multihash::bytes() const {
  Bytes out;
  append_to(out);
  return out;
}

bool Multihash::matches(BytesView bytes) const {
  if (code_ == HashCode::kIdentity) return std::ranges::equal(digest(), bytes);
  return of(code_, bytes) == *this;
}

bool operator==(const Multihash& a, const Multihash& b) noexcept {
  return a.code_ == b.code_ && std::ranges::equal(a.digest(), b.digest());
}

std::strong_ordering operator<=>(const Multihash& a, const Multihash& b) noexcept {
  if (const auto order = a.code_ <=> b.code_; order != 0) return order;
  return std::lexicographical_compare_three_way(a.digest_.begin(), a.digest_.begin() + a.size_, b.digest_.begin(),
                                                b.digest_.begin() + b.size_);
}

}  // namespace ipcs::ipld
