// Depth first through a DAG.
#include "ipld/dag_walk.hpp"

#include <fmt/format.h>

#include <unordered_set>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"

namespace ipcs::ipld {
namespace {

constexpr size_t kMostAhead = 1 << 20;  // links to blocks not yet visited; a DAG of honest files has thousands

}  // namespace

std::vector<Cid> links_of(const Cid& cid, BytesView block) {
  if (cid.codec() == Codec::kRaw) return {};
  if (cid.codec() != Codec::kDagPb)
    throw Error(Code::kUnimplemented, fmt::format("block {}: links of codec 0x{:x} can't be read", cid.to_string(),
                                                  static_cast<uint64_t>(cid.codec())));
  try {
    const Node node = decode_dag_pb(block);
    std::vector<Cid> links;
    links.reserve(node.links.size());
    for (const Link& link : node.links) links.push_back(link.cid);
    return links;
  } catch (const Error& error) {
    throw Error(Code::kDataLoss, fmt::format("block {}: {}", cid.to_string(), error.what()));
  }
}

void walk(BlockSource& source, const Cid& root, BlockSink& sink) {
  std::unordered_set<Cid> seen;
  std::vector<Cid> ahead{root};
  while (!ahead.empty()) {
    const Cid cid = ahead.back();
    ahead.pop_back();
    if (!seen.insert(cid).second) continue;
    const bool in_cid = cid.hash().code() == HashCode::kIdentity;
    const BytesView digest = cid.hash().digest();
    const Bytes block = in_cid ? Bytes(digest.begin(), digest.end()) : source.get(cid);
    if (block.size() > kMaxBlockSize)
      throw Error(Code::kDataLoss,
                  fmt::format("block {}: {} bytes are more than a block has", cid.to_string(), block.size()));
    verify(cid, block);
    const std::vector<Cid> links = links_of(cid, block);
    source.want(links);
    if (!in_cid) sink.put(cid, block);
    if (links.size() > kMostAhead - ahead.size())
      throw Error(Code::kResourceExhausted,
                  fmt::format("block {}: more than {} links wait for a visit", cid.to_string(), kMostAhead));
    for (auto link = links.rbegin(); link != links.rend(); ++link) {
      if (!seen.contains(*link)) ahead.push_back(*link);
    }
  }
}

}  // namespace ipcs::ipld
