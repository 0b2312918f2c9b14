// Verification of blocks, and those in memory.
#include "ipld/blockstore.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"

namespace ipcs::ipld {

void verify(const Cid& cid, BytesView data) {
  if (!cid.hash().matches(data))
    throw Error(Code::kDataLoss, fmt::format("block {}: its {} bytes have another hash", cid.to_string(), data.size()));
}

void MemoryBlockstore::put(const Cid& cid, BytesView data) {
  const std::lock_guard lock(mutex_);
  blocks_.try_emplace(cid.hash(), data.begin(), data.end());
}

Bytes MemoryBlockstore::get(const Cid& cid) {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(cid.hash());
  if (found == blocks_.end()) throw Error(Code::kNotFound, fmt::format("block {}: not there", cid.to_string()));
  return found->second;
}

bool MemoryBlockstore::has(const Cid& cid) {
  const std::lock_guard lock(mutex_);
  return blocks_.contains(cid.hash());
}

void MemoryBlockstore::remove(const Cid& cid) {
  const std::lock_guard lock(mutex_);
  blocks_.erase(cid.hash());
}

size_t MemoryBlockstore::size() const {
  const std::lock_guard lock(mutex_);
  return blocks_.size();
}

}  // namespace ipcs::ipld
