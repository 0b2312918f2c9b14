// Profiles: names, limits, CIDs.
#include "ipld/profile.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/chunker.hpp"

namespace ipcs::ipld {
namespace {

constexpr size_t kMostLinks = 8192;  // a full node has to fit into a block
constexpr size_t kMostInline = 128;

[[noreturn]] void refuse(const std::string& why) {
  throw Error(Code::kInvalidArgument, why);
}

}  // namespace

void Profile::validate() const {
  if (cid_version != 0 && cid_version != 1) refuse(fmt::format("CID version {}: there are 0 and 1", cid_version));
  if (cid_version == 0 && hash != HashCode::kSha2_256)
    refuse(fmt::format("CID version 0 is for sha2-256, not for {}", to_string(hash)));
  if (hash == HashCode::kIdentity) refuse("identity is no hash function for a whole file");
  if (max_links < 2 || max_links > kMostLinks)
    refuse(fmt::format("{} links a node: want 2 to {}", max_links, kMostLinks));
  if (inline_limit > kMostInline)
    refuse(fmt::format("inline limit {}: want at most {} bytes", inline_limit, kMostInline));
  make_chunker(chunker);
}

Cid Profile::cid_of(Codec codec, const Multihash& digest) const {
  return cid_version == 0 && codec == Codec::kDagPb ? Cid::v0(digest) : Cid::v1(codec, digest);
}

Cid Profile::cid_of(Codec codec, BytesView block) const {
  if (is_inline(block.size())) return Cid::v1(codec, Multihash(HashCode::kIdentity, block));
  return cid_of(codec, Multihash::of(hash, block));
}

Profile named_profile(std::string_view name) {
  Profile profile;
  if (name == "default" || name == "unixfs-v0-2015" || name == "legacy-cid-v0") return profile;
  profile.cid_version = 1;
  profile.raw_leaves = true;
  if (name == "cid-version=1") return profile;
  if (name == "unixfs-v1-2025") {
    profile.chunker = "size-1048576";
    profile.max_links = 1024;
    profile.directory_estimate = DirectorySize::kBlock;
    return profile;
  }
  refuse(fmt::format("unknown profile \"{}\"; there are default, cid-version=1, unixfs-v1-2025", shown(name)));
}

}  // namespace ipcs::ipld
