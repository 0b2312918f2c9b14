// What the local backend asks of a file system, small enough that a test can stand in and lose what was not synced.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ipcs::local {

struct FileInfo {
  bool regular = false;
  uint64_t size = 0;  // bytes
  uint64_t links = 1;
  int64_t created_ns = 0;   // since 1970 UTC, 0: the file system does not keep it
  int64_t modified_ns = 0;  // since 1970 UTC
  uint64_t device = 0;
  uint64_t inode = 0;
};

// Room of a file system in bytes, as `df` counts it for the caller: total is what is used and what is available.
struct Space {
  uint64_t total = 0;
  uint64_t available = 0;
};

// An open regular file. read_at and read_cached may run on many threads at once; the rest is for one thread at a time.
// Functions throw ipcs::Error naming the file.
class File {
 public:
  virtual ~File() = default;
  virtual FileInfo info() = 0;
  // Fills `out` from byte `offset` on; less than out.size() only where the file ends.
  virtual size_t read_at(uint64_t offset, std::span<uint8_t> out) = 0;
  // The same, as far as the bytes are in the page cache; 0 where that can't be told.
  virtual size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept = 0;
  // Writes all of `bytes`; after an Error a prefix may have been written, and info() tells.
  virtual void write_at(uint64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual void truncate(uint64_t size) = 0;
  // Has the kernel begin to write these bytes to the disk. A hint: it promises nothing and never fails.
  virtual void start_write_back(uint64_t offset, uint64_t size) noexcept = 0;
  // Returns once the file's bytes survive a power loss; its name may not.
  virtual void sync() = 0;
  // Takes the write permissions away, where the file system knows them.
  virtual void make_read_only() noexcept = 0;
};

enum class OpenMode {
  kRead,
  kWrite,   // reading and writing; the file must exist
  kCreate,  // reading and writing; the file must not exist
};

// A directory with everything below it. Paths are relative to it. All functions may run on many threads at once and
// throw ipcs::Error naming the file. A symbolic link as a path's last part is never followed.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Where the directory is, for people.
  virtual std::string location() const = 0;
  // Null when nothing is there, or something that is no regular file.
  virtual std::unique_ptr<File> open(const std::string& path, OpenMode mode) = 0;
  // Nothing when nothing is there. "" is the directory itself.
  virtual std::optional<FileInfo> stat(const std::string& path) = 0;
  // The names in a directory, in no order, without "." and ".."; nothing when there is no such directory.
  virtual std::optional<std::vector<std::string>> list(const std::string& path) = 0;
  // Makes a directory unless it is there.
  virtual void make_directory(const std::string& path) = 0;
  // False when `to` exists already; nothing has been changed then.
  virtual bool rename_no_replace(const std::string& from, const std::string& to) = 0;
  // False when nothing is there.
  virtual bool unlink(const std::string& path) = 0;
  // Returns once the names in the directory are as durable as they are now visible. "" is the directory itself.
  virtual void sync_directory(const std::string& path) = 0;
  // Returns once everything in the file system is durable, other programs' files too.
  virtual void sync_all() = 0;
  virtual Space space() = 0;
};

// The real one, on the directory `path`, which is made with its parents when `create`. `lock`: refuses with
// kFailedPrecondition while another process or store has it locked. Throws kFailedPrecondition when there is no such
// directory.
std::unique_ptr<FileSystem> open_file_system(const std::string& path, bool create, bool lock);

}  // namespace ipcs::local
