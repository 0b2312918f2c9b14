// Names of an archive as paths inside a root, by their text alone.
#pragma once

#include <string>
#include <string_view>

namespace ipcs::diff {

// The path below the root that `name` means: without ".", empty and ".." components, which never lead out; "" is the
// root itself. "/a//b/../c/" is "a/c".
std::string clean_path(std::string_view name);

// What stands before the last '/', and what after it.
struct SplitPath {
  std::string_view parent, base;
};
SplitPath split_path(std::string_view path);

// A name for one line of a message: its start, control characters as '?'.
std::string shown(std::string_view name);

// `parent`/`base`, where "" is the root.
std::string join_path(std::string_view parent, std::string_view base);

}  // namespace ipcs::diff
