// How a DAG is laid out: everything that its CID hangs on beside the bytes.
#pragma once

#include "ipld/cid.hpp"

namespace ipcs::ipld {

// How the size of a directory is estimated before it becomes a HAMT.
enum class DirectorySize {
  kLinks,  // bytes of the names and of the links' CIDs
  kBlock,  // bytes of the block
};

// Without changes: what `ipfs add` does when it is told nothing.
struct Profile {
  int cid_version = 0;
  bool raw_leaves = false;  // leaves are the bytes themselves, under CIDv1 with the codec raw
  HashCode hash = HashCode::kSha2_256;
  size_t max_links = 174;  // of a file's inner node
  std::string chunker = "size-262144";
  size_t inline_limit = 0;  // blocks of up to so many bytes are held in their CID (identity); 0: none
  DirectorySize directory_estimate = DirectorySize::kLinks;

  // Throws Error kInvalidArgument that names what does not fit: CIDv0 with another hash than sha2-256, max_links below
  // 2 or above 8192, inline_limit above 128, a bad chunker (kUnimplemented for Kubo's own).
  void validate() const;

  // The CID of a block.
  Cid cid_of(Codec codec, const Multihash& hash) const;
  // The identity CID where the block is to be held in it.
  bool is_inline(size_t block_size) const noexcept { return inline_limit > 0 && block_size <= inline_limit; }
  Cid cid_of(Codec codec, BytesView block) const;
};

// "default" (also "unixfs-v0-2015", "legacy-cid-v0"), "cid-version=1" (raw leaves, otherwise the same) or
// "unixfs-v1-2025" (raw leaves, 1 MiB, 1024 links). Throws Error kInvalidArgument for another name.
Profile named_profile(std::string_view name);

}  // namespace ipcs::ipld
