// pread, pwrite and holes.
#include "staged_file.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {

[[noreturn]] void fail(const std::string& path) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE;
  throw Error(full ? Code::kResourceExhausted : Code::kInternal, path + ": " + std::strerror(error));
}

}  // namespace

std::shared_ptr<StagedFile> StagedFile::open(const std::string& path, bool create) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
  if (fd < 0 && errno == ENOENT) return nullptr;
  if (fd < 0) fail(path);
  return std::shared_ptr<StagedFile>(new StagedFile(fd, path));
}

StagedFile::~StagedFile() { ::close(fd_); }

uint64_t StagedFile::size() const {
  struct stat st {};
  if (::fstat(fd_, &st) != 0) fail(path_);
  return static_cast<uint64_t>(st.st_size);
}

size_t StagedFile::read_at(uint64_t offset, std::span<uint8_t> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

void StagedFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_);
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void StagedFile::truncate(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail(path_);
}

bool StagedFile::punch(uint64_t offset, uint64_t size) noexcept {
  return ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0;
}

}  // namespace ipcs::ipfs_http
