// Who may have put a plugin where it is: ownership and modes of the file and of all directories above it.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>

namespace ipcs::loader {

// As whom this process acts.
struct Identity {
  uid_t uid = 0;                // effective user
  bool user_namespace = false;  // not the machine's own one: owners outside it appear as the overflow uid
  static Identity current();
};

// Why root must not run code from `path` (a file or a directory), or nothing: one line that names the file or
// directory at fault and the mend. Checks the path without symbolic links and each directory above it up to the root:
// whoever can rename any of them can put another file in place. Each must belong to root or to the running user and
// must not be writable by group or others. A sticky directory (/tmp) may be writable: there only a file's owner can
// rename it, and the owner of what lies below has been checked. Where `identity` is not root everything is trusted:
// the plugin gets no more rights than its user has. A path that can't be examined is not trusted.
std::optional<std::string> distrust(const std::string& path, const Identity& identity);

// The judgement on one file or directory with these attributes; `is_parent` when it lies above the path in question.
std::optional<std::string> distrust(const std::string& path, const struct stat& st, const Identity& identity,
                                    bool is_parent);

}  // namespace ipcs::loader
