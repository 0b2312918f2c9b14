// An opened blob: any thread may read any range.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "block_cache.hpp"
#include "ipcs/plugin.hpp"
#include "ipld/dag_reader.hpp"

namespace ipcs::ipfs_http {

// Every byte that it gives has been verified against the root. The cache outlives it. [thread-safe]
class BlobReader final : public plugin::Reader {
 public:
  // Fetches the root. `closed` is called once at the end. Throws Error kDataLoss when the root is damaged, no file, or of
  // another size.
  BlobReader(const plugin::Call& call, BlockCache& cache, std::string digest, const ipld::Cid& root, uint64_t size,
             std::function<void()> closed);
  ~BlobReader() override { closed_(); }

  uint64_t size() noexcept override { return size_; }
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) override;
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override;

 private:
  // A place in the file, with the path of blocks that leads there.
  struct Position {
    CacheSource source;
    ipld::DagReader reader;
    uint64_t next = 0;
    Position(const plugin::Call& call, BlockCache& cache, const ipld::Cid& root);
  };
  // The position that reads on at `offset`, or any that is free, or (with a call) a new one.
  std::unique_ptr<Position> take(const plugin::Call* call, uint64_t offset);
  void give_back(std::unique_ptr<Position> position) noexcept;

  BlockCache& cache_;
  const std::string digest_;
  const ipld::Cid root_;
  const uint64_t size_;
  const std::function<void()> closed_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Position>> free_;  // the last used last
};

}  // namespace ipcs::ipfs_http
