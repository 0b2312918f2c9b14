// Directories too large for one block: a hash array mapped trie of nodes. For directory.cpp.
#pragma once

#include "ipld/directory.hpp"

namespace ipcs::ipld {

// Entries are sorted by name and their names differ.
Subtree make_hamt(const Profile& profile, const std::vector<DirectoryEntry>& entries, BlockSink& sink);

// The hash of a name: the first 64 bits of MurmurHash3 x64 128 with seed 0.
uint64_t murmur3_64(BytesView bytes) noexcept;

}  // namespace ipcs::ipld
