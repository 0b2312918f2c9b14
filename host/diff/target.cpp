// Mounts as containerd writes them, in fstab's words.
#include "diff/target.hpp"

#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

#include "diff/path.hpp"
#include "diff/tree.hpp"

namespace ipcs::diff {
namespace {

struct Flag {
  std::string_view name;
  bool clear;
  unsigned long flag;
};
constexpr Flag kFlags[] = {{"async", true, MS_SYNCHRONOUS},   {"atime", true, MS_NOATIME},
                           {"bind", false, MS_BIND},          {"dev", true, MS_NODEV},
                           {"diratime", true, MS_NODIRATIME}, {"dirsync", false, MS_DIRSYNC},
                           {"exec", true, MS_NOEXEC},         {"noatime", false, MS_NOATIME},
                           {"nodev", false, MS_NODEV},        {"nodiratime", false, MS_NODIRATIME},
                           {"noexec", false, MS_NOEXEC},      {"norelatime", true, MS_RELATIME},
                           {"nosuid", false, MS_NOSUID},      {"nostrictatime", true, MS_STRICTATIME},
                           {"rbind", false, MS_BIND | MS_REC}, {"relatime", false, MS_RELATIME},
                           {"ro", false, MS_RDONLY},          {"rw", true, MS_RDONLY},
                           {"strictatime", false, MS_STRICTATIME}, {"suid", true, MS_NOSUID},
                           {"sync", false, MS_SYNCHRONOUS}};

std::string or_errno(const std::string& what) { return what + ": " + std::strerror(errno); }

Fd open_place(const std::string& path) {
  const int fd = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw Error(Code::kFailedPrecondition, or_errno("snapshot's directory " + path));
  return Fd(fd);
}

// Mounts of the worker's own, attached nowhere: ".." ends at their roots, whoever holds the descriptor. What is mounted
// below comes along, as it would be reached by path.
Fd detached(const std::string& path, uint64_t attributes) {
  Fd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) throw Error(Code::kFailedPrecondition, or_errno("snapshot's directory " + path));
  mount_attr change{};
  change.attr_set = attributes;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change) != 0)
    throw Error(Code::kFailedPrecondition, or_errno("mount attributes of the snapshot's directory " + path));
  return tree;
}

// Devices, setuid programs and programs can be made there, but not used.
constexpr uint64_t kInert = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
Fd detached_root(const std::string& path) { return detached(path, kInert); }
Fd detached_lower(const std::string& path) { return detached(path, kInert | MOUNT_ATTR_RDONLY); }

std::optional<std::string_view> option(const Mount& mount, std::string_view key) {
  std::optional<std::string_view> value;
  for (const std::string_view text : mount.options) {
    if (text.starts_with(key)) value = text.substr(key.size());
  }
  return value;
}

Target open_upper(const Mount& mount, std::string_view upper) {
  Target target;
  target.root = detached_root(std::string(upper));
  target.whiteouts = Whiteouts::kOverlay;
  std::string_view lower = option(mount, "lowerdir=").value_or("");
  while (!lower.empty()) {
    const size_t colon = lower.find(':');
    target.lower.push_back(detached_lower(std::string(lower.substr(0, colon))));
    lower.remove_prefix(colon == std::string_view::npos ? lower.size() : colon + 1);
  }
  return target;
}

[[noreturn]] void refuse(const Mount& mount, const std::string& why) {
  throw Error(Code::kUnimplemented, "mount of type \"" + mount.type + "\": " + why);
}

struct MountCall {
  unsigned long flags = 0;
  std::string data;
};

MountCall to_call(const Mount& mount) {
  MountCall call;
  for (const std::string& text : mount.options) {
    const auto is_it = [&](const Flag& f) { return f.name == text; };
    const auto* flag = std::find_if(std::begin(kFlags), std::end(kFlags), is_it);
    if (flag != std::end(kFlags)) {
      call.flags = flag->clear ? call.flags & ~flag->flag : call.flags | flag->flag;
    } else if (text.starts_with("X-containerd.") || text == "loop" || text.starts_with("uidmap=") ||
               text.starts_with("gidmap=")) {
      refuse(mount, "option \"" + text + "\" is for containerd itself");
    } else if (text != "defaults" && !(mount.type == "overlay" && (text == "volatile" || text == "fsync=volatile"))) {
      call.data += (call.data.empty() ? "" : ",") + text;
    }
  }
  return call;
}

void make_mount(const Mount& mount, const std::string& where) {
  if (mount.type.find('/') != std::string::npos || mount.type.starts_with("fuse"))
    refuse(mount, "it can be made by containerd alone");
  const MountCall call = to_call(mount);
  if (::mount(mount.source.c_str(), where.c_str(), mount.type.c_str(), call.flags, call.data.c_str()) != 0)
    throw Error(Code::kFailedPrecondition, or_errno("mount of type \"" + mount.type + "\" from " + mount.source));
  constexpr unsigned long kReadOnlyBind = MS_BIND | MS_RDONLY;
  if ((call.flags & kReadOnlyBind) == kReadOnlyBind &&
      ::mount("", where.c_str(), "", call.flags | MS_REMOUNT, "") != 0)
    throw Error(Code::kFailedPrecondition, or_errno("mount from " + mount.source + " can't be made read-only"));
}

}  // namespace

bool in_user_namespace() {
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 0, outside = 0, count = 0;
  if (!(map >> inside >> outside >> count)) return false;  // no such namespaces here
  return inside != 0 || outside != 0 || count != 4294967295;
}

Target open_target(const std::vector<Mount>& mounts, const std::string& mount_point) {
  if (mounts.empty()) throw Error(Code::kInvalidArgument, "no mounts to write the layer to");
  const Mount& first = mounts.front();
  if (mounts.size() == 1) {
    const auto upper = option(first, "upperdir=");
    if (first.type == "overlay" && !in_user_namespace() && upper && !upper->empty()) return open_upper(first, *upper);
    const auto& options = first.options;
    const bool read_only = std::find(options.begin(), options.end(), "ro") != options.end();
    if (first.type == "bind" && !read_only && first.target.empty()) {
      to_call(first);  // refuses what makes the mount another thing than its source, e.g. other ids
      Target target;
      target.root = detached_root(first.source);
      return target;
    }
  }
  for (const Mount& mount : mounts) {
    const Fd below = open_place(mount_point);
    const std::string inside = Tree(below.get()).resolve(mount.target);
    make_mount(mount, inside.empty() ? mount_point : mount_point + "/" + inside);
  }
  Target target;
  target.root = detached_root(mount_point);
  return target;
}

}  // namespace ipcs::diff
