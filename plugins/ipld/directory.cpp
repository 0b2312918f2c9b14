// Directories of one block, and the choice of a HAMT.
#include "ipld/directory.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/hamt.hpp"
#include "ipld/unixfs.hpp"

namespace ipcs::ipld {
namespace {

void sort_names(std::vector<DirectoryEntry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string& name = entries[i].name;
    if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
      throw Error(Code::kInvalidArgument, fmt::format("directory: \"{}\" can't be the name of an entry", shown(name)));
    if (i > 0 && name == entries[i - 1].name)
      throw Error(Code::kInvalidArgument, fmt::format("directory: the name \"{}\" stands there twice", shown(name)));
  }
}

size_t estimated_size(const Profile& profile, const std::vector<DirectoryEntry>& entries, size_t block_size) {
  if (profile.directory_estimate == DirectorySize::kBlock) return block_size;
  size_t size = 0;
  for (const DirectoryEntry& entry : entries) size += entry.name.size() + entry.child.cid.byte_size();
  return size;
}

Subtree put(const Profile& profile, const Bytes& block, uint64_t below, BlockSink& sink) {
  const Cid cid = profile.cid_of(Codec::kDagPb, block);
  if (cid.hash().code() != HashCode::kIdentity) sink.put(cid, block);
  return {cid, 0, below + block.size()};
}

}  // namespace

Subtree make_directory(const Profile& profile, std::vector<DirectoryEntry> entries, BlockSink& sink) {
  sort_names(entries);
  Bytes block;
  uint64_t below = 0;
  for (const DirectoryEntry& entry : entries) {
    append_link(block, entry.child.cid, entry.name, entry.child.dag_size);
    below += entry.child.dag_size;
  }
  Unixfs unixfs;
  unixfs.type = UnixfsType::kDirectory;
  append_data(block, unixfs.encode());
  if (estimated_size(profile, entries, block.size()) > kBasicDirectorySize) return make_hamt(profile, entries, sink);
  return put(profile, block, below, sink);
}

Subtree make_symlink(const Profile& profile, std::string_view target, BlockSink& sink) {
  Unixfs unixfs;
  unixfs.type = UnixfsType::kSymlink;
  unixfs.data.emplace(target.begin(), target.end());
  Bytes block;
  append_data(block, unixfs.encode());
  return put(profile, block, 0, sink);
}

}  // namespace ipcs::ipld
