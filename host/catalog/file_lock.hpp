// An exclusive lock on a file of its own, held for as long as the object lives.
#pragma once

#include <string>

namespace ipcs::catalog {

// A flock, so it ends with the process however that ends. The file stays: removing it would let two processes lock two
// files of the same name.
class FileLock {
 public:
  // Creates `path` where there is none. `what` begins every message. Throws Error kFailedPrecondition, naming the
  // holder's process id where it is known, when another open file has the lock, also in this process.
  FileLock(const std::string& path, const std::string& what);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace ipcs::catalog
