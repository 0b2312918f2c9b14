// What ipcsd tells its worker process, and what that answers: JSON through descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::diff {

// The worker's descriptors: the stored bytes on standard input, the job to be read, the answer to be written.
inline constexpr int kJobFd = 3, kAnswerFd = 4;

// A mount as containerd sends it.
struct Mount {
  std::string type;
  std::string source;
  std::string target;  // below the root, mostly empty
  std::vector<std::string> options;
};

struct Job {
  std::vector<Mount> mounts;
  std::string mount_point;   // an empty directory of ours; in a namespace of its own the worker mounts there
  bool compressed = true;    // gzip and zstd are looked for
  bool sync = false;         // the file system is synced at the end
  uint64_t max_size = 0;     // bytes that the layer may have uncompressed; 0: no limit
  int64_t parent = 0;        // process id of ipcsd, without which the worker must not work
};

struct Answer {
  Code code = Code::kOk;
  std::string message;  // when it failed
  std::string digest;   // of the uncompressed bytes
  uint64_t size = 0;    // of them
  uint64_t entries = 0;
  uint64_t file_bytes = 0;
  uint64_t warnings = 0;
  std::string warning;  // the first one
  double decompress_seconds = 0, hash_seconds = 0, write_seconds = 0;  // spent, waiting aside
};

std::string to_json(const Job& job);
std::string to_json(const Answer& answer);
// Throw Error kInternal when the text is not such a one, as when the worker died.
Job job_from_json(const std::string& text);
Answer answer_from_json(const std::string& text);

}  // namespace ipcs::diff
