// Leader and followers of a directory's syncs.
#include "directory_sync.hpp"

namespace ipcs::local {

void DirectorySync::sync() {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = ++asked_;
  while (done_ < ticket && !failure_) {
    if (running_) {
      changed_.wait(lock);
      continue;
    }
    running_ = true;
    const uint64_t covered = asked_;
    lock.unlock();
    std::optional<Error> failure;
    try {
      file_system_.sync_directory(path_);
    } catch (const Error& error) {
      failure = error;
    } catch (const std::exception& error) {
      failure = Error(Code::kInternal, path_ + ": cannot sync: " + error.what());
    }
    lock.lock();
    running_ = false;
    if (failure) {
      failure_ = failure;
    } else {
      done_ = covered;
    }
    changed_.notify_all();
  }
  if (done_ < ticket) throw *failure_;
}

}  // namespace ipcs::local
