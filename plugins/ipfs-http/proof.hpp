// Whether a DAG that somebody else laid out holds given bytes.
#pragma once

#include <functional>
#include <span>

#include "ipld/blockstore.hpp"

namespace ipcs::ipfs_http {

// Fills all of `out` from `offset` of the bytes on. Throws Error when they end before.
using ReadBytes = std::function<void(uint64_t offset, std::span<uint8_t> out)>;

// Compares the file below `root` with `size` bytes. Inner nodes come from `source`; a leaf is built from the bytes and
// compared by its CID, and fetched only where it is built otherwise than `ipfs` does. Each block goes to `sink` once for
// each place. Throws Error kFailedPrecondition that says where they differ, kDataLoss for a damaged block, and what
// source and sink throw.
void prove(ipld::BlockSource& source, const ipld::Cid& root, uint64_t size, const ReadBytes& bytes, ipld::BlockSink& sink);

}  // namespace ipcs::ipfs_http
