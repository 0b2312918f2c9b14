// dag-pb nodes (ipld.io/specs/codecs/dag-pb): links to other blocks, and data.
#pragma once

#include <optional>

#include "ipld/cid.hpp"

namespace ipcs::ipld {

inline constexpr size_t kMaxBlockSize = 2 << 20;  // bytes; no IPFS node moves larger ones
// Of one node. 2 MiB hold 44,000 links with names of no length and sha2-256; nodes that crowd in more are refused, so
// that a block takes bounded memory.
inline constexpr size_t kMaxLinks = 65536;

struct Link {
  Cid cid;
  std::string name;    // empty for a file's chunks
  uint64_t tsize = 0;  // bytes of all blocks below, as the writer claims; nobody can check it without all of them
};

struct Node {
  std::vector<Link> links;
  std::optional<Bytes> data;  // UnixFS, in the nodes of interest here
};

// The block of `node`: links first, in their order, then data; each link with its name and tsize.
Bytes encode_dag_pb(const Node& node);

// Reads a block in either order of links and data. Throws Error kInvalidArgument for what the spec forbids (unknown
// fields, a second data, links in two places, fields of a link out of order, a link without a hash, a malformed CID)
// and beyond kMaxBlockSize or kMaxLinks.
Node decode_dag_pb(BytesView block);

// Parts of a block, for a writer that never holds a whole node.
void append_link(Bytes& out, const Cid& cid, std::string_view name, uint64_t tsize);
void append_data(Bytes& out, BytesView data);

}  // namespace ipcs::ipld
