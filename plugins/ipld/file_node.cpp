// Checks a node of a UnixFS file.
#include "ipld/file_node.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipld {
namespace {

constexpr uint64_t kMaxFileSize = (uint64_t{1} << 63) - 1;

[[noreturn]] void fail(Code code, const Cid& cid, std::string_view what) {
  throw Error(code, fmt::format("block {}: {}", cid.to_string(), what));
}

struct Parts {
  Node node;
  Unixfs unixfs;
};

Parts decode(const Cid& cid, BytesView block) {
  try {
    Node node = decode_dag_pb(block);
    if (!node.data) fail(Code::kFailedPrecondition, cid, "a dag-pb node without UnixFS data is no file");
    Unixfs unixfs = Unixfs::decode(*node.data);
    return {std::move(node), std::move(unixfs)};
  } catch (const Error& error) {
    if (error.code() == Code::kFailedPrecondition) throw;
    fail(Code::kDataLoss, cid, error.what());
  }
}

}  // namespace

DagReader::FileNode DagReader::FileNode::of(const Cid& cid, Bytes block) {
  if (cid.codec() == Codec::kRaw) {
    const uint64_t size = block.size();
    return {cid, std::move(block), {}, {}, size};
  }
  if (cid.codec() != Codec::kDagPb)
    fail(Code::kFailedPrecondition, cid,
         fmt::format("a block of codec 0x{:x} is no UnixFS file", static_cast<uint64_t>(cid.codec())));

  Parts parts = decode(cid, block);
  const Unixfs& unixfs = parts.unixfs;
  if (unixfs.type != UnixfsType::kFile && unixfs.type != UnixfsType::kRaw)
    fail(Code::kFailedPrecondition, cid, fmt::format("a UnixFS {} is no file", to_string(unixfs.type)));
  if (unixfs.block_sizes.size() != parts.node.links.size())
    fail(Code::kDataLoss, cid,
         fmt::format("{} block sizes for {} links", unixfs.block_sizes.size(), parts.node.links.size()));

  FileNode result{cid, std::move(parts.unixfs.data).value_or(Bytes()), {}, {}, 0};
  result.size = result.data.size();
  result.children.reserve(parts.node.links.size());
  result.ends.reserve(parts.node.links.size());
  for (size_t i = 0; i < parts.node.links.size(); ++i) {
    if (unixfs.block_sizes[i] > kMaxFileSize - result.size) fail(Code::kDataLoss, cid, "its sizes exceed 63 bits");
    result.size += unixfs.block_sizes[i];
    result.children.push_back(parts.node.links[i].cid);
    result.ends.push_back(result.size);
  }
  if (unixfs.file_size && *unixfs.file_size != result.size)
    fail(Code::kDataLoss, cid,
         fmt::format("it says that it has {} bytes of the file, its parts have {}", *unixfs.file_size, result.size));
  return result;
}

}  // namespace ipcs::ipld
