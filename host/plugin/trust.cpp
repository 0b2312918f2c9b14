// Who may have put a plugin where it is: ownership and modes of the file and of all directories above it.
#include "plugin/trust.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace ipcs::loader {
namespace {

constexpr uid_t kOverflowUid = 65534;  // what an owner without a mapping looks like in a user namespace

}  // namespace

Identity Identity::current() {
  Identity identity{::geteuid(), false};
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0, outside = 0, count = 0;
  if (map >> inside >> outside >> count) identity.user_namespace = outside != 0 || count != UINT32_MAX;
  return identity;
}

std::optional<std::string> distrust(const std::string& path, const struct stat& st, const Identity& identity,
                                    bool is_parent) {
  const bool mine = st.st_uid == 0 || st.st_uid == identity.uid;
  const bool machine_root = identity.user_namespace && st.st_uid == kOverflowUid;
  if (!mine && !machine_root)
    return fmt::format("{}: belongs to user {}, so it is not run as root; chown root it", path, st.st_uid);
  const bool sticky_parent = is_parent && S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0;
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_parent)
    return fmt::format("{}: is writable by {} (mode {:04o}), so nothing in it is run as root; chmod go-w it", path,
                       (st.st_mode & S_IWOTH) != 0 ? "others" : "its group", st.st_mode & 07777);
  return std::nullopt;
}

std::optional<std::string> distrust(const std::string& path, const Identity& identity) {
  if (identity.uid != 0) return std::nullopt;
  std::error_code error;
  std::filesystem::path at = std::filesystem::canonical(path, error);
  if (error) return fmt::format("{}: cannot be examined: {}", path, error.message());
  for (bool is_parent = false;; is_parent = true) {
    struct stat st {};
    if (::stat(at.c_str(), &st) != 0)
      return fmt::format("{}: cannot be examined: {}", at.string(), std::strerror(errno));
    if (auto reason = distrust(at.string(), st, identity, is_parent)) return reason;
    if (at == at.root_path()) return std::nullopt;
    at = at.parent_path();
  }
}

}  // namespace ipcs::loader
