// The local backend's configuration, from the JSON object that the host hands over.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ipcs::local {

struct Config {
  std::string path;       // directory of the store
  uint64_t quota = 0;     // bytes of blobs and ingests together; 0: none
  double full_at = 0.95;  // the part of the file system or of the quota from which on new ingests are refused
  uint64_t journal = 4 << 20;  // bytes of the journal for small blobs; 0: none
  bool fsync = true;      // false: a commit survives a kill, not a power loss
  bool journal_thread = true;  // no key: tests have what it does done by whoever needs it
};

// Throws Error kInvalidArgument naming the key: unknown (with the nearest known one), missing, of a wrong type or
// value.
Config parse_config(std::string_view json);

// Bytes written as a number with a unit: "10GiB", "1.5 TB", "4096". Throws Error kInvalidArgument naming `key` and
// `text`.
uint64_t parse_size(std::string_view text, std::string_view key = "quota");

}  // namespace ipcs::local
