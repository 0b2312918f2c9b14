// A file's bytes as Kubo's cat streams them: for those who read from front to end and know the hashes of the leaves.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kubo/rpc.hpp"

namespace ipcs::ipfs_http {

// One request for the bytes from some offset on. What has not been read waits in the socket and in Kubo. Nothing is
// verified here. One thread at a time.
class FileStream {
 public:
  // Throws Error as Rpc::cat does.
  FileStream(const plugin::Call& call, kubo::Rpc& rpc, const ipld::Cid& root, uint64_t offset)
      : root_(root), next_(offset), answer_(rpc.cat(call, root, offset)) {}

  const ipld::Cid& root() const noexcept { return root_; }
  // Where the next bytes stand in the file.
  uint64_t next() const noexcept { return next_; }
  // Fills `out`. Throws Error as Answer::read does, kDataLoss where the stream ends before.
  void read(const plugin::Call& call, std::span<uint8_t> out);

 private:
  const ipld::Cid root_;
  uint64_t next_;
  kubo::Answer answer_;
};

// Streams between two reads: containerd reads in many calls. At most kMostStreams, and none for longer than kIdle, since
// Kubo can't stop while one is open. [thread-safe]
class FileStreams {
 public:
  static constexpr size_t kMostStreams = 8;
  static constexpr auto kIdle = std::chrono::seconds(2);

  // The stream that stands there, otherwise null.
  std::unique_ptr<FileStream> take(const ipld::Cid& root, uint64_t offset);
  void park(std::unique_ptr<FileStream> stream);
  // Ends those that nobody has taken for too long. Returns whether some are left.
  bool end_idle();

 private:
  struct Parked {
    std::unique_ptr<FileStream> stream;
    std::chrono::steady_clock::time_point since;
  };
  std::mutex mutex_;
  std::vector<Parked> parked_;  // the last one came last
};

}  // namespace ipcs::ipfs_http
