// Files by key.
#include "state_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {

namespace fs = std::filesystem;

StateDirectory::StateDirectory(std::string path, bool read_only) : path_(std::move(path)) {
  std::error_code error;
  if (!read_only) {
    fs::create_directories(path_ + "/ingests", error);
    if (error) throw Error(Code::kFailedPrecondition, path_ + ": can't be made: " + error.message());
    fs::permissions(path_, fs::perms::owner_all, error);
  } else if (!fs::exists(path_ + "/index.db", error)) {
    throw Error(Code::kFailedPrecondition, path_ + ": holds no index of an ipfs-http store");
  }
  fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) throw Error(Code::kFailedPrecondition, path_ + ": " + std::strerror(errno));
  if (!read_only && ::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd_);
    throw Error(Code::kFailedPrecondition, path_ + ": another process has this state directory open");
  }
}

StateDirectory::~StateDirectory() { ::close(fd_); }

std::vector<std::string> StateDirectory::ingest_keys() const {
  std::vector<std::string> keys;
  std::error_code error;
  for (fs::directory_iterator entry(path_ + "/ingests", error), end; !error && entry != end; entry.increment(error))
    keys.push_back(entry->path().filename().string());
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::optional<plugin::Entry> StateDirectory::stat_ingest(std::string_view key) const {
  struct stat st {};
  if (::lstat(ingest_path(key).c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  const int64_t modified = int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  return plugin::Entry{std::string(key), static_cast<uint64_t>(st.st_size), 0, modified};
}

bool StateDirectory::remove_ingest(std::string_view key) const { return ::unlink(ingest_path(key).c_str()) == 0; }

StateDirectory::Space StateDirectory::space() const {
  struct statvfs st {};
  if (::fstatvfs(fd_, &st) != 0) return {};
  const uint64_t available = uint64_t{st.f_bavail} * st.f_frsize;
  return {(st.f_blocks - st.f_bfree) * uint64_t{st.f_frsize} + available, available};
}

}  // namespace ipcs::ipfs_http
