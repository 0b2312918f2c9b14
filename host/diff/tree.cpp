// Links, directories and removal.
#include "diff/tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "diff/path.hpp"
#include "ipcs/error.hpp"

namespace ipcs::diff {
namespace {

constexpr int kMaxLinks = 255;  // on the way to one file, as containerd has it

Code code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Code::kResourceExhausted;
    case EPERM:
    case EACCES:
    case EROFS: return Code::kPermissionDenied;
    case ENOENT: return Code::kNotFound;
    case EIO: return Code::kInternal;
    default: return Code::kInvalidArgument;
  }
}

const char* or_here(const std::string& path) { return path.empty() ? "." : path.c_str(); }

std::string read_link(int root, const std::string& path) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t size = ::readlinkat(root, path.c_str(), target.data(), target.size());
    if (size < 0) throw_errno("can't read the link", path, errno);
    if (static_cast<size_t>(size) < target.size()) {
      target.resize(static_cast<size_t>(size));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

bool is_dots(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

// Removes everything in the directory `name` of `parent`, then itself.
void remove_directory(int parent, const char* name, const std::string& path) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) throw_errno("can't open", path, errno);
  DIR* listing = ::fdopendir(fd);
  if (listing == nullptr) {
    const int error = errno;
    ::close(fd);
    throw_errno("can't list", path, error);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> closed(listing, ::closedir);
  while (const dirent* entry = ::readdir(listing)) {
    if (is_dots(entry->d_name)) continue;
    const std::string below = join_path(path, entry->d_name);
    if (entry->d_type != DT_DIR && ::unlinkat(fd, entry->d_name, 0) == 0) continue;
    if (entry->d_type != DT_DIR && errno != EISDIR && errno != EPERM) throw_errno("can't remove", below, errno);
    remove_directory(fd, entry->d_name, below);
  }
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0) throw_errno("can't remove", path, errno);
}

}  // namespace

void throw_errno(const std::string& what, std::string_view path, int error) {
  throw Error(code_of(error), what + " /" + shown(path) + ": " + std::strerror(error));
}

std::optional<struct stat> Tree::find(const std::string& path) const {
  struct stat info {};
  if (::fstatat(root_, or_here(path), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT) return std::nullopt;
  throw_errno("can't look at", path, errno);
}

std::string Tree::resolve(std::string_view path) const {
  std::string rest = clean_path(path), done;
  for (int links = 0; !rest.empty();) {
    const size_t slash = rest.find('/');
    std::string here = join_path(done, std::string_view(rest).substr(0, slash));
    rest.erase(0, slash == std::string::npos ? rest.size() : slash + 1);
    const auto info = find(here);
    if (!info || !S_ISLNK(info->st_mode)) {
      done = std::move(here);
      continue;
    }
    if (++links > kMaxLinks) throw_errno("can't follow the links on the way to", path, ELOOP);
    const std::string target = read_link(root_, here);
    const std::string from_root = target.starts_with('/') ? clean_path(target) : clean_path(join_path(done, target));
    rest = rest.empty() ? from_root : join_path(from_root, rest);
    done.clear();
  }
  return done;
}

Fd Tree::open_directory(const std::string& path) const {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, root_, or_here(path), &how, sizeof how);
  if (fd < 0) throw_errno("can't open the directory", path, errno);
  return Fd(static_cast<int>(fd));
}

std::shared_ptr<const Tree::Directory> Tree::enter(const std::string& path,
                                                   const std::function<void(const std::string&)>& make) {
  const auto known = directories_.find(path);
  if (known != directories_.end()) return known->second;
  std::string resolved = resolve(path);
  if (!resolved.empty()) make(resolved);
  Fd fd = open_directory(resolved);
  if (directories_.size() >= kOpen) directories_.clear();
  auto directory = std::make_shared<const Directory>(Directory{std::move(resolved), std::move(fd)});
  return directories_.emplace(path, std::move(directory)).first->second;
}

void Tree::remove(const Directory& directory, const std::string& base) {
  struct stat info {};
  const std::string path = join_path(directory.path, base);
  if (::fstatat(directory.fd.get(), base.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw_errno("can't look at", path, errno);
  }
  if (S_ISDIR(info.st_mode)) {
    remove_directory(directory.fd.get(), base.c_str(), path);
  } else if (::unlinkat(directory.fd.get(), base.c_str(), 0) != 0) {
    throw_errno("can't remove", path, errno);
  }
  // Names may lead to other directories now, and directories that are open may be gone.
  if (S_ISDIR(info.st_mode) || S_ISLNK(info.st_mode)) directories_.clear();
}

}  // namespace ipcs::diff
