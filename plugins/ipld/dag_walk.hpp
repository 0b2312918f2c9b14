// Visits every block of a DAG.
#pragma once

#include "ipld/blockstore.hpp"

namespace ipcs::ipld {

// The CIDs that a verified block links to, in order; none for raw. Throws Error kDataLoss that names `cid` when the
// block is malformed, kUnimplemented for a codec other than raw and dag-pb.
std::vector<Cid> links_of(const Cid& cid, BytesView block);

// Puts each block below and at `root` into `sink`, verified, depth first, each once, blocks held in their CID left out:
// the order of Kubo's `dag export`. Throws Error kDataLoss that names a damaged block, kResourceExhausted when a
// million links wait, and what source and sink throw. Memory grows with the number of blocks; a sink that counts can
// throw.
void walk(BlockSource& source, const Cid& root, BlockSink& sink);

}  // namespace ipcs::ipld
