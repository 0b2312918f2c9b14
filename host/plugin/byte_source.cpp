// The two sources of an image's bytes: memory and a file.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipcs/error.hpp"
#include "plugin/elf_image.hpp"

namespace ipcs::loader {

void MemorySource::read(uint64_t offset, std::span<uint8_t> out) const {
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
}

FileSource::FileSource(const std::string& path) {
  // A FIFO must not block the scan, hence O_NONBLOCK.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    const int error = errno;
    const Code code = error == ENOENT   ? Code::kNotFound
                      : error == EACCES ? Code::kPermissionDenied
                                        : Code::kFailedPrecondition;
    throw Error(code, fmt::format("{}: cannot be opened: {}", path, std::strerror(error)));
  }
  struct stat st {};
  if (::fstat(fd_, &st) != 0 || !S_ISREG(st.st_mode)) {
    ::close(fd_);
    throw Error(Code::kFailedPrecondition,
                path + ": is not a regular file; only shared objects belong into a plugin directory");
  }
  size_ = static_cast<uint64_t>(st.st_size);
}

FileSource::~FileSource() {
  ::close(fd_);
}

void FileSource::read(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(Code::kUnavailable, fmt::format("cannot be read: {}", std::strerror(errno)));
    if (n == 0) throw Error(Code::kFailedPrecondition, "was cut short while it was read; try again");
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
}

}  // namespace ipcs::loader
