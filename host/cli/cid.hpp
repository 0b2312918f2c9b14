// What `ipcsctl cid` is told and how it goes through files, as `ipfs add --only-hash` does.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/interrupt.hpp"
#include "ipld/directory.hpp"
#include "ipld/profile.hpp"

namespace ipcs::cli {

// The flags that change a CID; empty ones were not given.
struct CidFlags {
  std::string profile, hash, chunker;
  std::optional<int> cid_version;
  std::optional<bool> raw_leaves;
  std::optional<size_t> max_file_links;
  bool inline_small = false;
  size_t inline_limit = 32;
};

// The layout that Kubo would choose for these flags. Throws Error kInvalidArgument or kUnimplemented that names what
// does not fit.
ipld::Profile profile_of(const CidFlags& flags);

// Makes DAGs of what lies in the file system. One thread.
class FileTree {
 public:
  struct Options {
    bool recursive = false;  // directories too
    bool hidden = false;     // in directories names that begin with '.' too
  };
  // `read_bytes` hears of every piece that was read. All arguments outlive it.
  FileTree(const ipld::Profile& profile, Options options, ipld::BlockSink& sink, const Interrupt& interrupt,
           std::function<void(size_t)> read_bytes);

  // The file, directory or symbolic link (which is not followed) at `path`; "-" is standard input. Throws Error that
  // names the path, Interrupted.
  ipld::Subtree add(const std::string& path);

 private:
  ipld::Subtree add_file(int fd, const std::string& name);
  ipld::Subtree add_directory(const std::string& path, int depth);
  ipld::Subtree add_below(const std::string& path, int depth);

  const ipld::Profile& profile_;
  const Options options_;
  ipld::BlockSink& sink_;
  const Interrupt& interrupt_;
  const std::function<void(size_t)> read_bytes_;
  ipld::Bytes buffer_;
};

}  // namespace ipcs::cli
