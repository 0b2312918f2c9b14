// flock with the holder's process id in the file, for people.
#include "catalog/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::catalog {
namespace {

Error failure(const std::string& what, const std::string& path, int error) {
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  const Code code = denied ? Code::kPermissionDenied : error == ENOENT ? Code::kNotFound : Code::kInternal;
  return Error(code, what + ": " + path + ": " + std::strerror(error));
}

std::string holder(int fd) {
  char text[24];
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  std::string pid;
  for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9'; ++i) pid += text[i];
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

FileLock::FileLock(const std::string& path, const std::string& what) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) throw failure(what, path, errno);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const std::string by = holder(fd_);
    ::close(fd_);
    if (error != EWOULDBLOCK) throw failure(what, path, error);
    throw Error(Code::kFailedPrecondition, what + " is in use by " + by + "; stop it or configure another root");
  }
  // The process id only adorns another's message: a full disk must not keep the lock from being taken.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) static_cast<void>(::ftruncate(fd_, 0));
}

FileLock::~FileLock() {
  ::close(fd_);
}

}  // namespace ipcs::catalog
