// Whether a DAG that somebody else laid out holds given bytes.
#pragma once

#include <functional>
#include <span>

#include "ipcs/plugin.hpp"
#include "ipld/blockstore.hpp"

namespace ipcs::ipfs_http {

// Fills all of `out` from `offset` of the bytes on. Throws Error when they end before.
using ReadBytes = std::function<void(uint64_t offset, std::span<uint8_t> out)>;

// Compares the file below `root` with `size` bytes. Inner nodes come from `source`; a leaf is built from the bytes and
// compared by its CID, and fetched only where it is built otherwise than `ipfs` does. Each block goes to `sink` once for
// each place. The DAG may come from anybody: parts without bytes, and more nodes than a chunker of a kilobyte would make
// of a file (kMostNodes beside), are a difference. Throws Error kFailedPrecondition that says where they differ,
// kDataLoss for a damaged block, kCancelled and kDeadlineExceeded of `call`, and what source and sink throw.
inline constexpr uint64_t kMostNodes = 4096;
void prove(const plugin::Call& call, ipld::BlockSource& source, const ipld::Cid& root, uint64_t size, const ReadBytes& bytes, ipld::BlockSink& sink);

}  // namespace ipcs::ipfs_http
