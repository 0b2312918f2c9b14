// A file's bytes as Kubo's cat streams them: for those who read from front to end and know the hashes of the leaves.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "kubo/rpc.hpp"

namespace ipcs::ipfs_http {

// The bytes from some offset on, by requests of which each asks for twice as much as the one before, since Kubo fetches
// all that it was asked for: who reads a part costs the network no more than about twice that part. What has not been
// read waits in the socket and in Kubo. Nothing is verified here. One thread at a time.
class FileStream {
 public:
  static constexpr uint64_t kFirst = 2 << 20, kMost = 64 << 20;  // bytes of a request

  // Throws Error as Rpc::cat does.
  FileStream(const plugin::Call& call, kubo::Rpc& rpc, const ipld::Cid& root, uint64_t offset)
      : rpc_(rpc), root_(root), next_(offset), answer_(rpc.cat(call, root, offset, kFirst)) {}

  const ipld::Cid& root() const noexcept { return root_; }
  // Where the next bytes stand in the file.
  uint64_t next() const noexcept { return next_; }
  // Fills `out`. Throws Error as Rpc::cat and Answer::read do, kDataLoss where the file ends before.
  void read(const plugin::Call& call, std::span<uint8_t> out);

 private:
  kubo::Rpc& rpc_;
  const ipld::Cid root_;
  uint64_t next_;
  uint64_t length_ = kFirst, left_ = kFirst;  // bytes of this request, and those that have not been read
  std::optional<kubo::Answer> answer_;
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
