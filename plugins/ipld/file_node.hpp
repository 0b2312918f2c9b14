// One checked node of a UnixFS file. For dag_reader.cpp alone.
#pragma once

#include "ipld/dag_reader.hpp"

namespace ipcs::ipld {

struct DagReader::FileNode {
  Cid cid;
  Bytes data;  // the file's bytes in this node; they come before those of the children
  std::vector<Cid> children;
  std::vector<uint64_t> ends;  // where each child's bytes end, counted from the node's first byte
  uint64_t size = 0;           // bytes of the file below

  uint64_t begin_of(size_t child) const noexcept { return child == 0 ? data.size() : ends[child - 1]; }
  uint64_t size_of(size_t child) const noexcept { return ends[child] - begin_of(child); }

  // Reads a verified block. Throws Error kDataLoss that names `cid` when it contradicts itself, kFailedPrecondition
  // when it is whole but no part of a file.
  static FileNode of(const Cid& cid, Bytes block);
};

}  // namespace ipcs::ipld
