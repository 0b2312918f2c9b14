// The directory that a layer is written to, as a world of its own: no name leads out of it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "diff/fd.hpp"

namespace ipcs::diff {

// Throws an Error whose code fits `error` (an errno): kResourceExhausted for a full disk, kPermissionDenied, … The
// message is "<what> <path>: <error's text>".
[[noreturn]] void throw_errno(const std::string& what, std::string_view path, int error);

// A directory tree below a descriptor. Paths are as clean_path() gives them. Symbolic links on the way are followed
// by us, as if the tree were the whole file system, before the kernel sees a path; the kernel is then told to follow
// none. One thread.
class Tree {
 public:
  // `root` is a directory's descriptor (O_PATH will do) and stays the caller's.
  explicit Tree(int root) : root_(root) {}

  int root() const noexcept { return root_; }

  // Follows the links in `path`, also where it ends in one; what does not exist is taken as it stands. Throws Error:
  // too many links, a file used as a directory.
  std::string resolve(std::string_view path) const;

  // What is at `path`, whose parents are no links; nothing where it does not exist. Throws Error.
  std::optional<struct stat> find(const std::string& path) const;

  // Opens a directory whose path holds no links. Throws Error.
  Fd open_directory(const std::string& path) const;

  // A directory that is there, its path without links.
  struct Directory {
    std::string path;
    Fd fd;
  };
  // The directory that `path` resolves to. `make` is called with that path when the directory may have to be made. It
  // stays open for the next files.
  std::shared_ptr<const Directory> enter(const std::string& path, const std::function<void(const std::string&)>& make);

  // Removes what `base` in the directory is, with all below it; no error where there is nothing. Throws Error.
  void remove(const Directory& directory, const std::string& base);

 private:
  static constexpr size_t kOpen = 256;  // directories

  const int root_;
  // By their path before links were followed.
  std::unordered_map<std::string, std::shared_ptr<const Directory>> directories_;
};

}  // namespace ipcs::diff
