// UnixFS (specs.ipfs.tech/unixfs): files, directories and symbolic links in the data of dag-pb nodes.
#pragma once

#include <optional>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

enum class UnixfsType : uint64_t { kRaw = 0, kDirectory = 1, kFile = 2, kMetadata = 3, kSymlink = 4, kHamtShard = 5 };

// "file", "directory" and so on. Never fails.
std::string to_string(UnixfsType type);

// The message in a node's data.
struct Unixfs {
  UnixfsType type = UnixfsType::kFile;
  std::optional<Bytes> data;          // bytes of the file that come before those of its links; a link's target
  std::optional<uint64_t> file_size;  // bytes of the file below this node
  std::vector<uint64_t> block_sizes;  // bytes of the file below each link
  std::optional<uint64_t> hash_type;  // of a HAMT shard: the multihash code of the names' hash
  std::optional<uint64_t> fanout;     // of a HAMT shard
  std::optional<uint64_t> mode;       // POSIX permissions

  // As protobuf, fields in the order of their numbers. A mtime is not written.
  Bytes encode() const;
  // Throws Error kInvalidArgument when it is malformed, has no type or an unknown one, or lists more than kMaxLinks
  // block sizes. Unknown fields are skipped, as protobuf has it.
  static Unixfs decode(BytesView message);
};

// What stands before and behind the bytes in a dag-pb leaf of a file of `size` bytes.
struct LeafFrame {
  Bytes before, behind;
};
LeafFrame leaf_frame(size_t size);

}  // namespace ipcs::ipld
