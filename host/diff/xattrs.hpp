// Extended attributes of what an archive holds, and of directories that are copied up.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "diff/tar_entry.hpp"

namespace ipcs::diff {

// Sets the attributes of the entry's file, `fd` where it is open and otherwise `base` in the working directory, no
// link followed. Attributes below "trusted." are left out, as are those that the file system or this kind of file
// can't have; `warn` is told. Throws Error for any other failure, naming `path`.
void set_xattrs(const TarEntry& entry, int fd, const std::string& base, bool may_have_user_xattrs,
                const std::string& path, const std::function<void(const std::string&)>& warn);

// Copies attributes, "trusted." aside, from one open directory to another that does not have them. Throws Error
// naming `path`.
void copy_xattrs(int from, int to, const std::string& path);

}  // namespace ipcs::diff
