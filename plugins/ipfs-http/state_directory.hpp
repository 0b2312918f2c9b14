// The directory of the index and of what is arriving.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipcs/plugin.hpp"

namespace ipcs::ipfs_http {

// Layout: index.db, ingests/<key>. A writer holds a flock on the directory. [thread-safe]
class StateDirectory {
 public:
  // Makes it with its parents unless `read_only`. Throws Error kFailedPrecondition when another store has it, or it is
  // to be only read and isn't there.
  StateDirectory(std::string path, bool read_only);
  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;
  ~StateDirectory();

  const std::string& path() const noexcept { return path_; }
  std::string ingest_path(std::string_view key) const { return path_ + "/ingests/" + std::string(key); }
  std::vector<std::string> ingest_keys() const;
  std::optional<plugin::Entry> stat_ingest(std::string_view key) const;
  bool remove_ingest(std::string_view key) const;
  // Of its file system, bytes, as `df` counts them.
  struct Space {
    uint64_t total = 0, available = 0;
  };
  Space space() const;

 private:
  const std::string path_;
  int fd_ = -1;
};

}  // namespace ipcs::ipfs_http
