// setxattr(2) and its relatives.
#include "diff/xattrs.hpp"

#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "diff/path.hpp"
#include "diff/tree.hpp"

namespace ipcs::diff {
namespace {

constexpr std::string_view kTrusted = "trusted.", kUser = "user.";

}  // namespace

void set_xattrs(const TarEntry& entry, int fd, const std::string& base, bool may_have_user_xattrs,
                const std::string& path, const std::function<void(const std::string&)>& warn) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name.starts_with(kTrusted)) {
      warn("attribute " + shown(name) + " left out: an archive may not set it");
      continue;
    }
    const int result = fd >= 0 ? ::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0)
                               : ::lsetxattr(base.c_str(), name.c_str(), value.data(), value.size(), 0);
    if (result == 0) continue;
    if (errno == ENOTSUP || (errno == EPERM && name.starts_with(kUser) && !may_have_user_xattrs)) {
      warn("attribute " + shown(name) + " left out: " + std::strerror(errno));
      continue;
    }
    throw_errno("can't set attribute " + shown(name) + " of", path, errno);
  }
}

void copy_xattrs(int from, int to, const std::string& path) {
  ssize_t size = ::flistxattr(from, nullptr, 0);
  if (size < 0 && errno == ENOTSUP) return;
  std::vector<char> names(static_cast<size_t>(size < 0 ? 0 : size));
  size = ::flistxattr(from, names.data(), names.size());
  if (size < 0) throw_errno("can't list the attributes of", path, errno);
  for (const char* name = names.data(); name < names.data() + size; name += std::strlen(name) + 1) {
    if (std::string_view(name).starts_with(kTrusted)) continue;
    std::vector<char> value(64 * 1024);
    const ssize_t length = ::fgetxattr(from, name, value.data(), value.size());
    if (length < 0 && (errno == ENOTSUP || errno == ENODATA)) continue;
    if (length < 0) throw_errno(std::string("can't read attribute ") + name + " of", path, errno);
    if (::fsetxattr(to, name, value.data(), static_cast<size_t>(length), XATTR_CREATE) != 0 && errno != ENOTSUP &&
        errno != ENODATA && errno != EEXIST)
      throw_errno(std::string("can't set attribute ") + name + " of", path, errno);
  }
}

}  // namespace ipcs::diff
