// A sqlite VFS in memory whose power can fail: what was not synced is then gone, or partly there.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace ipcs::catalog::testing {

// A registered VFS with files of its own. As on a strict POSIX file system, a file's bytes are safe once it was synced,
// and its name once its directory was: sqlite syncs that at the first sync of a journal or log, and when it deletes
// one. Steps are the calls that change something: creating, writing, truncating, syncing and deleting a file.
// [thread-safe]; all files are closed before restore() and the destructor.
class PowerLossVfs {
 public:
  PowerLossVfs();
  ~PowerLossVfs();
  PowerLossVfs(const PowerLossVfs&) = delete;
  PowerLossVfs& operator=(const PowerLossVfs&) = delete;

  const std::string& name() const noexcept { return name_; }

  // The power fails instead of the step with this number, counted from now (1: the next). Every call fails from then
  // on.
  void fail_at(uint64_t step);
  // The power fails now.
  void fail() noexcept { failed_ = true; }
  bool failed() const noexcept { return failed_; }
  uint64_t steps() const noexcept { return steps_; }

  // Power is back: files hold what was synced. Unless `seed` is 0, some sectors of 512 bytes and truncations that were
  // not synced are there as well, chosen at random.
  void restore(uint32_t seed);

  // Power is back before anything was lost, as after a kill.
  void resume();

  // How often the files whose names end in `suffix` were synced.
  uint64_t syncs(const std::string& suffix) const;

  // Called when the power fails at a step, and before each sync; set them while no file is open. Must not call back.
  std::function<void()> on_failure;
  std::function<void()> before_sync;

  // Every sync fails, changing nothing.
  std::atomic<bool> refuse_syncs{false};
  // Every write fails as on a full disk.
  std::atomic<bool> full{false};

  bool exists(const std::string& path) const;

  struct File;
  struct Handle;

 private:
  friend struct VfsCalls;
  int step();  // SQLITE_OK, or the power has failed

  std::string name_;
  sqlite3_vfs vfs_{};
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<File>> files_;    // as running programs see them
  std::map<std::string, std::shared_ptr<File>> durable_;  // names that survive a power loss
  std::map<std::string, uint64_t> syncs_;
  std::atomic<uint64_t> steps_{0};
  uint64_t fail_at_ = 0;  // a value of steps_; 0: never
  std::atomic<bool> failed_{false};
  int open_handles_ = 0;
};

}  // namespace ipcs::catalog::testing
