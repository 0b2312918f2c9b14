// Syncs of one directory, shared by everyone who waits for one at the same time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "file_system.hpp"
#include "ipcs/error.hpp"

namespace ipcs::local {

// One directory. A caller that finds nobody syncing becomes the leader and syncs for all who asked before it began;
// those who come later wait for the next round, since their names may have missed this one. [thread-safe]
class DirectorySync {
 public:
  // `file_system` outlives the object.
  DirectorySync(FileSystem& file_system, std::string path) : file_system_(file_system), path_(std::move(path)) {}

  // Returns once every change of names made before the call is durable. Throws Error. A failure is final: the kernel
  // reports a lost write once and then forgets it, so a later success would say nothing of these names.
  void sync();

 private:
  FileSystem& file_system_;
  const std::string path_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t asked_ = 0;  // syncs asked for
  uint64_t done_ = 0;   // of these, how many are answered
  bool running_ = false;
  std::optional<Error> failure_;
};

}  // namespace ipcs::local
