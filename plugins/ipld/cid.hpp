// Content identifiers: what a block holds (codec) and the hash of its bytes.
#pragma once

#include <compare>
#include <functional>
#include <optional>

#include "ipld/bytes.hpp"
#include "ipld/codec.hpp"
#include "ipld/multibase.hpp"
#include "ipld/multihash.hpp"

namespace ipcs::ipld {

// A valid CID (github.com/multiformats/cid). Immutable value without memory of its own. Version 0 is always dag-pb with
// sha2-256. A v0 and a v1 CID of the same block are different values; compare their multihashes to find one block.
class Cid {
 public:
  // CIDv0. Throws Error kInvalidArgument unless `hash` is sha2-256.
  static Cid v0(const Multihash& hash);
  static Cid v1(Codec codec, const Multihash& hash) { return Cid(1, codec, hash); }

  // Reads text: 46 characters beginning with Qm, or multibase. Nothing may surround it ("/ipfs/…" is a path, no CID).
  // Throws Error kInvalidArgument that names the text and what is wrong with it.
  static Cid parse(std::string_view text);
  static std::optional<Cid> try_parse(std::string_view text);

  // Reads the binary form: all of `bytes`, or (take) off their front. Throws Error kInvalidArgument.
  static Cid from_bytes(BytesView bytes);
  static Cid take(BytesView& bytes);

  int version() const noexcept { return version_; }
  Codec codec() const noexcept { return codec_; }
  const Multihash& hash() const noexcept { return hash_; }

  // v0: base 58 whatever `base` is, since v0 has no other text.
  std::string to_string(Base base = Base::kBase32) const;
  Bytes bytes() const;
  void append_to(Bytes& out) const;
  size_t byte_size() const noexcept;

  // The same block under version 1.
  Cid to_v1() const { return Cid(1, codec_, hash_); }

  friend bool operator==(const Cid& a, const Cid& b) noexcept = default;
  friend std::strong_ordering operator<=>(const Cid& a, const Cid& b) noexcept = default;

 private:
  Cid(int version, Codec codec, const Multihash& hash) noexcept : version_(version), codec_(codec), hash_(hash) {}

  int version_;
  Codec codec_;
  Multihash hash_;
};

}  // namespace ipcs::ipld

template <>
struct std::hash<ipcs::ipld::Cid> {
  size_t operator()(const ipcs::ipld::Cid& cid) const noexcept;
};
