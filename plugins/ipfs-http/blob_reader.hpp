// An opened blob: any thread may read any range.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block_cache.hpp"
#include "ipcs/plugin.hpp"
#include "ipld/dag_reader.hpp"

namespace ipcs::ipfs_http {

// Every byte that it gives has been verified against the root. Where one reads on from a stream, the next bytes are read and
// verified by the cache's threads while the last ones are sent. The cache outlives it. [thread-safe]
class BlobReader final : public plugin::Reader {
 public:
  // Fetches the root. `closed` is called once at the end. Throws Error kDataLoss when the root is damaged, no file, or of
  // another size.
  BlobReader(const plugin::Call& call, BlockCache& cache, std::string digest, const ipld::Cid& root, uint64_t size,
             std::function<void()> closed);
  ~BlobReader() override;

  uint64_t size() noexcept override { return size_; }
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) override;
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override;

 private:
  // A place in the file, with the path of blocks that leads there, and verified bytes from that place on. Its reader (one
  // at a time) takes bytes from the front; what is read ahead comes in behind them.
  struct Position {
    CacheSource source;
    ipld::DagReader reader;
    uint64_t next = 0;
    // Guarded by the mutex.
    std::deque<ipld::Bytes> ahead;
    size_t used = 0;         // bytes of the first piece that have been read
    size_t ahead_bytes = 0;  // that have not
    bool filling = false;    // source and reader belong to a thread of the cache's
    Position(const plugin::Call& call, BlockCache& cache, const ipld::Cid& root);
  };
  using PositionPtr = std::shared_ptr<Position>;

  // The position that reads on at `offset`, or any that is free, or (with a call) a new one.
  PositionPtr take(const plugin::Call* call, uint64_t offset);
  void give_back(PositionPtr position) noexcept;
  // Copies what was read ahead; returns how much that was.
  size_t take_ahead(Position& position, std::span<uint8_t> out);
  // Where it reads from a stream: has the next bytes read.
  void read_ahead(const PositionPtr& position);
  void fill(Position& position) noexcept;
  // Forgets what was read ahead. The caller holds the mutex.
  void forget_ahead(Position& position) noexcept;

  BlockCache& cache_;
  const std::string digest_;
  const ipld::Cid root_;
  const uint64_t size_;
  const std::function<void()> closed_;
  // What a queued fill may still touch when the reader has gone.
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    size_t running = 0;  // fills
    bool over = false;
  };
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::mutex& mutex_ = shared_->mutex;
  std::unique_ptr<kubo::OwnCall> ahead_call_;  // of the fills; made with the first one
  std::vector<PositionPtr> free_;  // the last used last
};

}  // namespace ipcs::ipfs_http
