// UnixFS directories and symbolic links, as `ipfs add` makes them.
#pragma once

#include "ipld/dag_builder.hpp"

namespace ipcs::ipld {

struct DirectoryEntry {
  std::string name;
  Subtree child;
};

inline constexpr size_t kBasicDirectorySize = 262144;  // estimated bytes; a larger directory is a HAMT, as in Kubo
inline constexpr size_t kHamtFanout = 256;             // as in Kubo

// A directory of these entries, in any order; names are sorted bytewise. Its blocks go to `sink`, the root last.
// Throws Error kInvalidArgument for a name that is empty or has a '/' or NUL, and for one that stands there twice.
Subtree make_directory(const Profile& profile, std::vector<DirectoryEntry> entries, BlockSink& sink);

// A symbolic link to `target`.
Subtree make_symlink(const Profile& profile, std::string_view target, BlockSink& sink);

}  // namespace ipcs::ipld
