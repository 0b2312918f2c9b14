// One entry after the other: parents, whiteouts, the file itself, and its attributes in the order that keeps them.
#include "diff/applier.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

#include "diff/path.hpp"
#include "diff/sparse.hpp"
#include "diff/xattrs.hpp"
#include "ipcs/error.hpp"

namespace ipcs::diff {
namespace {

constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq";
constexpr mode_t kPermissions = 07777;
constexpr int64_t kMaxSeconds = std::numeric_limits<int64_t>::max() / 1'000'000'000;  // the year 2262

bool is_device(const TarEntry& entry) { return entry.type == kCharDevice || entry.type == kBlockDevice; }

// A time that the file system may not have becomes 1970, as in containerd.
timespec bounded(const Time& time) {
  const bool fits = time.seconds >= 0 && (time.seconds < kMaxSeconds ||
                                          (time.seconds == kMaxSeconds && time.nanoseconds <= 854'775'807));
  return fits ? timespec{time.seconds, static_cast<long>(time.nanoseconds)} : timespec{0, 0};
}

using Times = std::array<timespec, 2>;  // accessed, modified

Times times_of(const TarEntry& entry) {
  const Time accessed = entry.accessed ? std::max(*entry.accessed, entry.modified) : entry.modified;
  return {bounded(accessed), bounded(entry.modified)};
}

class Application {
 public:
  Application(ByteSource& archive, int root, const ApplyOptions& options)
      : reader_(archive), tree_(root), options_(options) {}

  ApplyTotals run() {
    ::umask(0);
    while (const auto entry = reader_.next()) {
      ++totals_.entries;
      try {
        apply(*entry);
      } catch (const Error& e) {
        if (e.code() != Code::kNotFound) throw;
        throw Error(Code::kInvalidArgument, e.what());  // something that the archive names: not the blob
      }
    }
    set_directory_times();
    return totals_;
  }

 private:
  // A file to be made: `base` in `directory`.
  struct Place {
    const Tree::Directory& directory;
    std::string base;
    std::string path;  // from the root, no link on the way
  };

  void apply(const TarEntry& entry) {
    if (is_device(entry) && options_.in_user_namespace)
      return options_.warn("device " + shown(entry.name) + " left out: in a user namespace there are none");
    const std::string name = clean_path(entry.name);
    if (name.empty()) return;  // the root stays as it is
    const SplitPath split = split_path(name);
    const std::shared_ptr<const Tree::Directory> directory =
        tree_.enter(std::string(split.parent), [this](const std::string& path) { make_parents(path); });
    const Place place{*directory, std::string(split.base), join_path(directory->path, split.base)};
    if (place.base.starts_with(kWhiteout)) return white_out(entry, place);
    if (entry.type == kPaxGlobal) {
      tree_.remove(*directory, place.base);  // containerd makes room for it as for any other
    } else {
      make(entry, place);
      if (entry.type == kDirectory) directories_.push_back({name, times_of(entry)});
    }
    if (options_.whiteouts == Whiteouts::kRemove) unpacked_.insert(place.path);
  }

  // Directories that the archive does not name.
  void make_parents(const std::string& path) {
    if (const auto info = tree_.find(path)) {
      if (S_ISDIR(info->st_mode)) return;
      throw_errno("can't put files into", path, ENOTDIR);
    }
    const std::string parent(split_path(path).parent);
    if (!parent.empty()) make_parents(parent);
    if (::mkdirat(tree_.root(), path.c_str(), 0755) != 0) throw_errno("can't make the directory", path, errno);
    ::fchmodat(tree_.root(), path.c_str(), 0755, 0);  // a default ACL of the parent would have its say otherwise
    for (const int lower : options_.lower) {
      const Tree below(lower);
      const std::string there = below.resolve(path);
      const auto info = below.find(there);
      if (!info) continue;
      if (S_ISDIR(info->st_mode)) copy_up(below, there, *info, path);
      break;
    }
  }

  void copy_up(const Tree& below, const std::string& there, const struct stat& info, const std::string& path) {
    constexpr int kDirectoryOnly = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const int from_fd = ::openat(below.root(), there.empty() ? "." : there.c_str(), kDirectoryOnly);
    if (from_fd < 0) throw_errno("can't open the lower", there, errno);
    const Fd from(from_fd);
    const int to_fd = ::openat(tree_.root(), path.c_str(), kDirectoryOnly);
    if (to_fd < 0) throw_errno("can't open", path, errno);
    const Fd to(to_fd);
    if (::fchown(to.get(), info.st_uid, info.st_gid) != 0) throw_errno("can't set the owner of", path, errno);
    if (::fchmod(to.get(), info.st_mode & kPermissions) != 0) throw_errno("can't set the mode of", path, errno);
    const Times times{info.st_atim, info.st_mtim};
    if (::futimens(to.get(), times.data()) != 0) throw_errno("can't set the times of", path, errno);
    copy_xattrs(from.get(), to.get(), path);
  }

  void white_out(const TarEntry& entry, const Place& place) {
    if (place.base == kOpaque) return make_opaque(place.directory);
    const std::string target = place.base.substr(kWhiteout.size());
    if (target.empty() || target == "." || target == "..") bad_archive("whiteout of " + shown(place.base));
    if (options_.whiteouts == Whiteouts::kRemove) return tree_.remove(place.directory, target);
    const int fd = place.directory.fd.get();
    if (::mknodat(fd, target.c_str(), S_IFCHR, 0) != 0 ||
        ::fchownat(fd, target.c_str(), static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
                   AT_SYMLINK_NOFOLLOW) != 0)
      throw_errno("can't make the whiteout", join_path(place.directory.path, target), errno);
  }

  void make_opaque(const Tree::Directory& directory) {
    if (options_.whiteouts == Whiteouts::kOverlay) {
      if (::fchdir(directory.fd.get()) != 0 || ::setxattr(".", "trusted.overlay.opaque", "y", 1, 0) != 0)
        throw_errno("can't make opaque", directory.path, errno);
    } else if (opaque_.insert(directory.path).second) {
      const Tree::Directory copy{directory.path, tree_.open_directory(directory.path)};
      remove_older(copy);
    }
  }

  // Everything in the directory that this archive has not put there.
  void remove_older(const Tree::Directory& directory) {
    for (const auto& [name, is_directory] : list(directory)) {
      const std::string path = join_path(directory.path, name);
      if (!unpacked_.contains(path)) {
        tree_.remove(directory, name);
      } else if (is_directory) {
        remove_older({path, tree_.open_directory(path)});
      }
    }
  }

  std::vector<std::pair<std::string, bool>> list(const Tree::Directory& directory) const {
    const int fd = ::openat(directory.fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* listing = fd < 0 ? nullptr : ::fdopendir(fd);
    if (listing == nullptr) throw_errno("can't list", directory.path, errno);
    const std::unique_ptr<DIR, int (*)(DIR*)> closed(listing, ::closedir);
    std::vector<std::pair<std::string, bool>> found;
    while (const dirent* entry = ::readdir(listing)) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      bool is_directory = entry->d_type == DT_DIR;
      if (entry->d_type == DT_UNKNOWN) {
        struct stat info {};
        is_directory = ::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
      }
      found.emplace_back(name, is_directory);
    }
    return found;
  }

  // `attempt` makes the file and fails with EEXIST where something is in its place, which is then removed.
  template <class Attempt>
  int in_place(const Place& place, const char* what, Attempt attempt) {
    int result = attempt();
    if (result < 0 && errno == EEXIST) {
      tree_.remove(place.directory, place.base);
      result = attempt();
    }
    if (result < 0) throw_errno(what, place.path, errno);
    return result;
  }

  void make(const TarEntry& entry, const Place& place) {
    const char* base = place.base.c_str();
    switch (entry.type) {
      case kRegular:
      case kGnuSparse: return make_file(entry, place);
      case kDirectory: make_directory(place); break;
      case kSymlink:
        in_place(place, "can't make the link",
                 [&] { return ::symlinkat(entry.link.c_str(), place.directory.fd.get(), base); });
        break;
      case kHardLink: make_hard_link(entry, place); break;
      case kFifo:
      case kCharDevice:
      case kBlockDevice: make_node(entry, place); break;
      default:
        bad_archive("an entry of type " + std::to_string(static_cast<unsigned char>(entry.type)) + ": /" +
                    shown(place.path));
    }
    set_attributes(entry, place);
  }

  void make_directory(const Place& place) {
    const int fd = place.directory.fd.get();
    if (::mkdirat(fd, place.base.c_str(), 0700) == 0) return;
    struct stat info {};
    if (errno == EEXIST && ::fstatat(fd, place.base.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode))
      return;  // both layers' files are in it
    in_place(place, "can't make the directory", [&] { return ::mkdirat(fd, place.base.c_str(), 0700); });
  }

  void make_node(const TarEntry& entry, const Place& place) {
    const auto fits = [](int64_t number) { return number >= 0 && number <= std::numeric_limits<uint32_t>::max(); };
    if (!fits(entry.device_major) || !fits(entry.device_minor))
      bad_archive("a device number that none can have: /" + place.path);
    const mode_t kind = entry.type == kFifo ? S_IFIFO : entry.type == kCharDevice ? S_IFCHR : S_IFBLK;
    const dev_t device =
        ::makedev(static_cast<uint32_t>(entry.device_major), static_cast<uint32_t>(entry.device_minor));
    const mode_t mode = kind | (static_cast<mode_t>(entry.mode) & 0777);
    in_place(place, "can't make the device", [&] {
      return ::mknodat(place.directory.fd.get(), place.base.c_str(), mode, device);
    });
  }

  void make_hard_link(const TarEntry& entry, const Place& place) {
    in_place(place, "can't make the hard link", [&] {
      // Links on the way to it are followed, itself is not.
      const size_t slash = entry.link.rfind('/');
      const bool has_parent = slash != std::string::npos;
      const std::string parent = has_parent ? tree_.resolve(entry.link.substr(0, slash)) : std::string();
      const std::string base = has_parent ? entry.link.substr(slash + 1) : entry.link;
      const std::string target = clean_path(join_path(parent, base));
      return ::linkat(tree_.root(), target.empty() ? "." : target.c_str(), place.directory.fd.get(),
                      place.base.c_str(), 0);
    });
  }

  void make_file(const TarEntry& entry, const Place& place) {
    const Fd file(in_place(place, "can't make the file", [&] {
      return ::openat(place.directory.fd.get(), place.base.c_str(),
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }));
    if (entry.extents) {
      write_extents(entry, file.get(), place.path);
    } else {
      write_bytes(file.get(), static_cast<uint64_t>(entry.size), place.path);
    }
    if (::fchown(file.get(), static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)) != 0)
      throw_errno("can't set the owner of", place.path, errno);
    if (!entry.xattrs.empty()) set_xattrs(entry, file.get(), place.base, true, place.path, options_.warn);
    if (::fchmod(file.get(), static_cast<mode_t>(entry.mode) & kPermissions) != 0)
      throw_errno("can't set the mode of", place.path, errno);
    const Times times = times_of(entry);
    if (::futimens(file.get(), times.data()) != 0) throw_errno("can't set the times of", place.path, errno);
  }

  // From where the file is written at.
  void write_bytes(int fd, uint64_t count, const std::string& path) {
    while (count > 0) {
      auto piece = reader_.read(static_cast<size_t>(std::min<uint64_t>(count, 1 << 20)));
      if (piece.empty()) bad_archive("a sparse file lacks bytes: /" + shown(path));
      count -= piece.size();
      totals_.bytes += piece.size();
      while (!piece.empty()) {
        const ssize_t done = ::write(fd, piece.data(), piece.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) throw_errno("can't write", path, errno);
        piece = piece.subspan(static_cast<size_t>(done));
      }
    }
  }

  // Holes stay holes.
  void write_extents(const TarEntry& entry, int fd, const std::string& path) {
    for (const Extent& run : *entry.extents) {
      if (::lseek(fd, run.offset, SEEK_SET) < 0) throw_errno("can't seek in", path, errno);
      write_bytes(fd, static_cast<uint64_t>(run.length), path);
    }
    if (reader_.stored() != 0) bad_archive("a sparse file has bytes that its map does not mention: /" + shown(path));
    if (::ftruncate(fd, entry.size) != 0) throw_errno("can't set the size of", path, errno);
  }

  // Owner first, since a change of it takes setuid bits and capabilities away; times last.
  void set_attributes(const TarEntry& entry, const Place& place) {
    const int fd = place.directory.fd.get();
    const char* base = place.base.c_str();
    if (::fchownat(fd, base, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid), AT_SYMLINK_NOFOLLOW) != 0)
      throw_errno("can't set the owner of", place.path, errno);
    mode_t kind = entry.type == kDirectory ? S_IFDIR : S_IFLNK;
    if (entry.type != kDirectory && entry.type != kSymlink) {
      struct stat info {};
      if (::fstatat(fd, base, &info, AT_SYMLINK_NOFOLLOW) != 0) throw_errno("can't look at", place.path, errno);
      kind = info.st_mode & S_IFMT;
    }
    // Links' and devices' attributes are reached by name alone.
    if (!entry.xattrs.empty() && ::fchdir(fd) != 0) throw_errno("can't enter", place.directory.path, errno);
    if (!entry.xattrs.empty())
      set_xattrs(entry, -1, place.base, kind == S_IFDIR || kind == S_IFREG, place.path, options_.warn);
    // A link has no mode; what is left is none, so nothing is followed.
    if (kind != S_IFLNK && ::fchmodat(fd, base, static_cast<mode_t>(entry.mode) & kPermissions, 0) != 0)
      throw_errno("can't set the mode of", place.path, errno);
    const Times times = times_of(entry);
    if (::utimensat(fd, base, times.data(), AT_SYMLINK_NOFOLLOW) != 0)
      throw_errno("can't set the times of", place.path, errno);
  }

  // Files that came after it have changed them.
  void set_directory_times() {
    for (const auto& [name, times] : directories_) {
      const std::string path = tree_.resolve(name);
      if (::utimensat(tree_.root(), path.empty() ? "." : path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT)
          throw Error(Code::kInvalidArgument, "directory /" + shown(path) + " was removed by its own archive");
        throw_errno("can't set the times of", path, errno);
      }
    }
  }

  TarReader reader_;
  Tree tree_;
  const ApplyOptions& options_;
  ApplyTotals totals_;
  std::vector<std::pair<std::string, Times>> directories_;
  std::unordered_set<std::string> unpacked_, opaque_;  // paths, where whiteouts remove
};

}  // namespace

ApplyTotals apply_archive(ByteSource& archive, int root, const ApplyOptions& options) {
  return Application(archive, root, options).run();
}

}  // namespace ipcs::diff
