// Writes the entries of a layer's archive into a directory, as containerd's own applier does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "diff/byte_source.hpp"
#include "diff/fd.hpp"
#include "diff/tar_entry.hpp"
#include "diff/tar_reader.hpp"
#include "diff/tree.hpp"

namespace ipcs::diff {

// What a file named .wh.NAME does.
enum class Whiteouts {
  kRemove,   // NAME is removed: the tree is the whole file system of the snapshot
  kOverlay,  // NAME becomes a device 0/0, an opaque directory gets an attribute: the tree is an overlay's upper layer
};

struct ApplyOptions {
  Whiteouts whiteouts = Whiteouts::kRemove;
  // Lower layers of the overlay, the topmost first. A directory that the archive puts files into without naming it gets
  // owner, mode, times and attributes from them.
  std::vector<int> lower;
  bool in_user_namespace = false;  // devices are left out then, as the kernel refuses them
  std::function<void(const std::string&)> warn = [](const std::string&) {};
};

struct ApplyTotals {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // of files
};

// Applies an archive to the tree below `root`, a directory's descriptor. The calling thread's working directory and the
// process's file creation mask are changed. Throws Error; what has been written stays.
ApplyTotals apply_archive(ByteSource& archive, int root, const ApplyOptions& options);

}  // namespace ipcs::diff
