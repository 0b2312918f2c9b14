// The real file system: system calls relative to one open directory.
#include "file_system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::local {
namespace {

Code code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case EIO:
    case EUCLEAN:
      return Code::kDataLoss;
    case ENOENT:
      return Code::kNotFound;
    case ENOTDIR:
    case ELOOP:
    case EISDIR:
    case EEXIST:
      return Code::kFailedPrecondition;
    default:
      return Code::kInternal;
  }
}

[[noreturn]] void fail(int error, const std::string& path, const char* action) {
  throw Error(code_of(error), path + ": cannot " + action + ": " + std::generic_category().message(error));
}

template <class SystemCall>
auto retried(SystemCall&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

int64_t nanoseconds(const struct statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// False with errno set when it can't be told.
bool read_info(int fd, const char* name, int flags, FileInfo& out) {
  struct statx st {};
  if (::statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &st) < 0) return false;
  out.regular = S_ISREG(st.stx_mode);
  out.size = st.stx_size;
  out.links = st.stx_nlink;
  out.created_ns = (st.stx_mask & STATX_BTIME) != 0 ? nanoseconds(st.stx_btime) : 0;
  out.modified_ns = nanoseconds(st.stx_mtime);
  out.device = uint64_t{st.stx_dev_major} << 32 | st.stx_dev_minor;
  out.inode = st.stx_ino;
  return true;
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  FileInfo info() override {
    FileInfo out;
    if (!read_info(fd_.get(), "", AT_EMPTY_PATH, out)) fail(errno, path_, "stat");
    return out;
  }

  size_t read_at(uint64_t offset, std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = retried(
          [&] { return ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
      if (n < 0) fail(errno, path_, "read");
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override {
    size_t done = 0;
    while (done < out.size()) {
      const iovec rest{out.data() + done, out.size() - done};
      const ssize_t n = ::preadv2(fd_.get(), &rest, 1, static_cast<off_t>(offset + done), RWF_NOWAIT);
      if (n <= 0) break;  // EAGAIN: on the disk; EOPNOTSUPP: a file system that can't tell
      done += static_cast<size_t>(n);
    }
    return done;
  }

  void write_at(uint64_t offset, std::span<const uint8_t> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n =
          retried([&] { return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (n < 0) fail(errno, path_, "write");
      offset += static_cast<uint64_t>(n);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
  }

  void truncate(uint64_t size) override {
    if (retried([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) < 0) fail(errno, path_, "truncate");
  }

  void start_write_back(uint64_t offset, uint64_t size) noexcept override {
    ::sync_file_range(fd_.get(), static_cast<off64_t>(offset), static_cast<off64_t>(size), SYNC_FILE_RANGE_WRITE);
  }

  void sync() override {
    if (retried([&] { return ::fdatasync(fd_.get()); }) < 0) fail(errno, path_, "sync");
  }

  void make_read_only() noexcept override {
    if (::fchmod(fd_.get(), 0444) < 0) {
      // FAT and CIFS may refuse; the mode only keeps people from editing a blob by mistake.
    }
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  PosixFileSystem(Descriptor root, std::string location) : root_(std::move(root)), location_(std::move(location)) {}

  std::string location() const override { return location_; }

  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
    // O_NONBLOCK: a fifo must not hold the call; it means nothing for a regular file.
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    flags |= mode == OpenMode::kRead ? O_RDONLY : O_RDWR;
    if (mode == OpenMode::kCreate) flags |= O_CREAT | O_EXCL;
    Descriptor fd(retried([&] { return ::openat(root_.get(), path.c_str(), flags, 0644); }));
    if (fd.get() < 0) {
      if (mode != OpenMode::kCreate && (errno == ENOENT || errno == ELOOP || errno == EISDIR || errno == ENXIO))
        return nullptr;
      fail(errno, full(path), mode == OpenMode::kCreate ? "create" : "open");
    }
    auto file = std::make_unique<PosixFile>(std::move(fd), full(path));
    if (mode != OpenMode::kCreate && !file->info().regular) return nullptr;
    return file;
  }

  std::optional<FileInfo> stat(const std::string& path) override {
    FileInfo out;
    const int flags = AT_SYMLINK_NOFOLLOW | (path.empty() ? AT_EMPTY_PATH : 0);
    if (read_info(root_.get(), path.c_str(), flags, out)) return out;
    if (errno == ENOENT) return std::nullopt;
    fail(errno, full(path), "stat");
  }

  std::optional<std::vector<std::string>> list(const std::string& path) override {
    const int fd = ::openat(root_.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return std::nullopt;
    if (fd < 0) fail(errno, full(path), "open");
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd), ::closedir);
    if (!directory) {
      const int error = errno;
      ::close(fd);
      fail(error, full(path), "list");
    }
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    if (errno != 0) fail(errno, full(path), "list");
    return names;
  }

  void make_directory(const std::string& path) override {
    if (::mkdirat(root_.get(), path.c_str(), 0755) < 0 && errno != EEXIST)
      fail(errno, full(path), "make the directory");
  }

  bool rename_no_replace(const std::string& from, const std::string& to) override {
    if (::renameat2(root_.get(), from.c_str(), root_.get(), to.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST) return false;
    if (errno != EINVAL && errno != ENOSYS) fail(errno, full(from), "rename");
    // NFS and some FUSE file systems know no RENAME_NOREPLACE, but link() doesn't replace either.
    if (::linkat(root_.get(), from.c_str(), root_.get(), to.c_str(), 0) < 0) {
      if (errno == EEXIST) return false;
      fail(errno, full(from), "link");
    }
    unlink(from);
    return true;
  }

  bool unlink(const std::string& path) override {
    if (::unlinkat(root_.get(), path.c_str(), 0) == 0) return true;
    if (errno == ENOENT) return false;
    fail(errno, full(path), "remove");
  }

  void sync_directory(const std::string& path) override {
    const char* name = path.empty() ? "." : path.c_str();
    const Descriptor fd(::openat(root_.get(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) fail(errno, full(path), "open");
    if (retried([&] { return ::fsync(fd.get()); }) < 0) fail(errno, full(path), "sync");
  }

  void sync_all() override {
    if (retried([&] { return ::syncfs(root_.get()); }) < 0) fail(errno, location_, "sync the file system");
  }

  Space space() override {
    struct statvfs st {};
    if (retried([&] { return ::fstatvfs(root_.get(), &st); }) < 0) fail(errno, location_, "ask for free space");
    const uint64_t used = (st.f_blocks - st.f_bfree) * st.f_frsize;
    const uint64_t available = st.f_bavail * st.f_frsize;
    return {used + available, available};
  }

 private:
  std::string full(const std::string& path) const { return path.empty() ? location_ : location_ + "/" + path; }

  Descriptor root_;
  std::string location_;
};

// Makes a directory and its missing parents; each new name is synced into the directory that holds it.
void make_directories(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return;
  const size_t slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  make_directories(parent);
  if (::mkdir(path.c_str(), 0711) < 0 && errno != EEXIST) fail(errno, path, "make the directory");
  const Descriptor fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) fail(errno, parent, "open");
  if (retried([&] { return ::fsync(fd.get()); }) < 0) fail(errno, parent, "sync");
}

}  // namespace

std::unique_ptr<FileSystem> open_file_system(const std::string& path, bool create, bool lock) {
  std::string location = path;
  while (location.size() > 1 && location.back() == '/') location.pop_back();
  if (create) make_directories(location);
  Descriptor root(::open(location.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0 && errno == ENOENT) throw Error(Code::kFailedPrecondition, location + ": no such directory");
  if (root.get() < 0) fail(errno, location, "open the directory");
  if (lock && ::flock(root.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK)
      throw Error(Code::kFailedPrecondition, location + ": is in use by another process or store");
    fail(errno, location, "lock");
  }
  return std::make_unique<PosixFileSystem>(std::move(root), std::move(location));
}

}  // namespace ipcs::local
