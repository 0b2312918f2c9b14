// Multibase: bytes as text, with a first letter that tells the base.
#pragma once

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

// The bases that CIDs are written in; the value is the prefix.
enum class Base : char { kBase58Btc = 'z', kBase32 = 'b', kBase36 = 'k', kBase16 = 'f' };

inline constexpr size_t kMaxMultibaseSize = 1024;  // characters that decoding accepts; base 58 takes quadratic time

// The prefix and the text; letters are lower case where the base has only one case.
std::string encode_multibase(Base base, BytesView bytes);

// The bytes of text with a prefix. Accepts upper case where the prefix is upper case (B, K, F). Throws Error
// kInvalidArgument for another base, a wrong character, left-over bits or more than kMaxMultibaseSize characters.
Bytes decode_multibase(std::string_view text);

// The same without a prefix, as CIDv0 and peer ids are written.
std::string encode_base58(BytesView bytes);
Bytes decode_base58(std::string_view text);

// "base58btc", "base32", "base36" or "base16". Throws Error kInvalidArgument for another name.
Base parse_base(std::string_view name);

}  // namespace ipcs::ipld
