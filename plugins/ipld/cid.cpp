// Content identifiers: text and binary form.
#include "ipld/cid.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/varint.hpp"

namespace ipcs::ipld {
namespace {

constexpr size_t kV0TextSize = 46;
constexpr size_t kV0Size = 34;

bool begins_as_v0(BytesView bytes) noexcept {
  return bytes.size() >= 2 && bytes[0] == 0x12 && bytes[1] == 0x20;
}

bool is_v0_text(std::string_view text) noexcept {
  return text.size() == kV0TextSize && text.starts_with("Qm");
}

Cid parse_text(std::string_view text) {
  if (is_v0_text(text)) return Cid::from_bytes(decode_base58(text));
  const Bytes bytes = decode_multibase(text);
  if (begins_as_v0(bytes)) throw Error(Code::kInvalidArgument, "a CIDv0 has no multibase prefix");
  return Cid::from_bytes(bytes);
}

}  // namespace

Cid Cid::v0(const Multihash& hash) {
  if (hash.code() != HashCode::kSha2_256)
    throw Error(Code::kInvalidArgument, fmt::format("CIDv0 is for sha2-256, not for {}", ipld::to_string(hash.code())));
  return Cid(0, Codec::kDagPb, hash);
}

Cid Cid::parse(std::string_view text) {
  try {
    return parse_text(text);
  } catch (const Error& error) {
    throw Error(Code::kInvalidArgument, fmt::format("\"{}\" is not a CID: {}", shown(text), error.what()));
  }
}

std::optional<Cid> Cid::try_parse(std::string_view text) {
  try {
    return parse_text(text);
  } catch (const Error&) {
    return std::nullopt;
  }
}

Cid Cid::take(BytesView& bytes) {
  if (begins_as_v0(bytes)) return v0(Multihash::take(bytes));
  BytesView rest = bytes;
  const uint64_t version = take_varint(rest, "CID");
  if (version != 1) throw Error(Code::kInvalidArgument, fmt::format("CID: unknown version {}", version));
  const auto codec = static_cast<Codec>(take_varint(rest, "CID"));
  const Multihash hash = Multihash::take(rest);
  bytes = rest;
  return v1(codec, hash);
}

Cid Cid::from_bytes(BytesView bytes) {
  const Cid cid = take(bytes);
  if (!bytes.empty()) throw Error(Code::kInvalidArgument, fmt::format("CID: {} bytes too many", bytes.size()));
  return cid;
}

std::string Cid::to_string(Base base) const {
  return version_ == 0 ? encode_base58(bytes()) : encode_multibase(base, bytes());
}

void Cid::append_to(Bytes& out) const {
  if (version_ != 0) {
    append_varint(out, 1);
    append_varint(out, static_cast<uint64_t>(codec_));
  }
  hash_.append_to(out);
}

Bytes Cid::bytes() const {
  Bytes out;
  out.reserve(byte_size());
  append_to(out);
  return out;
}

size_t Cid::byte_size() const noexcept {
  if (version_ == 0) return kV0Size;
  const size_t digest = hash_.digest().size();
  return 1 + varint_size(static_cast<uint64_t>(codec_)) + varint_size(static_cast<uint64_t>(hash_.code())) +
         varint_size(digest) + digest;
}

}  // namespace ipcs::ipld

size_t std::hash<ipcs::ipld::Cid>::operator()(const ipcs::ipld::Cid& cid) const noexcept {
  // All of it: an attacker may choose identity digests that differ in any byte.
  const auto text = ipcs::ipld::as_text(cid.hash().digest());
  return std::hash<std::string_view>{}(text) ^ (static_cast<size_t>(cid.codec()) * 0x9e3779b97f4a7c15u + cid.version());
}
