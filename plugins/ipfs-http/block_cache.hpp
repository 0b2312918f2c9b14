// Blocks on their way from Kubo: fetched once however many ask, ahead of readers who read on, kept while there is room.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "file_stream.hpp"
#include "ipld/blockstore.hpp"
#include "kubo/patience.hpp"
#include "kubo/rpc.hpp"

namespace ipcs::ipfs_http {

using BlockPtr = std::shared_ptr<const ipld::Bytes>;

// Blocks by multihash, the last used first, at most `capacity` bytes of them. They are as Kubo gave them: DagReader
// verifies each block that it takes. [thread-safe]
class BlockCache {
 public:
  BlockCache(kubo::Rpc& rpc, uint64_t capacity, size_t threads);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // The block if it is in memory, otherwise null. Never waits for long.
  BlockPtr find(const ipld::Cid& cid);
  // The block, from memory or from Kubo. Throws Error as Rpc::block_get does.
  BlockPtr get(const plugin::Call& call, const ipld::Cid& cid, kubo::Reach reach);
  // Has them fetched in the background, in this order, unless they are there or under way.
  void want(std::span<const ipld::Cid> cids, kubo::Reach reach);
  // Whether the block is in memory or under way.
  bool expects(const ipld::Cid& cid);
  kubo::Rpc& rpc() noexcept { return rpc_; }
  // What is parked there ends in time.
  void park(std::unique_ptr<FileStream> stream);
  std::unique_ptr<FileStream> take_stream(const ipld::Cid& root, uint64_t offset) { return streams_.take(root, offset); }
  // Runs `job`, which throws nothing, on one of the threads; dropped when the cache ends before.
  void run(std::function<void()> job);
  // Room for verified bytes that are read ahead, in all half of what the cache may hold. False: there is none.
  bool take_ahead(uint64_t bytes) noexcept;
  void release_ahead(uint64_t bytes) noexcept { ahead_ -= bytes; }
  // Forgets a block that proved wrong.
  void drop(const ipld::Cid& cid);

 private:
  struct Hash {
    size_t operator()(const ipld::Multihash& hash) const noexcept;
  };
  struct Slot {
    ipld::Multihash hash;
    BlockPtr block;
  };
  struct Wanted {
    ipld::Cid cid;
    kubo::Reach reach;
  };
  void work();
  // The caller holds the mutex.
  BlockPtr use(const ipld::Multihash& hash);
  void keep(const ipld::Multihash& hash, BlockPtr block);

  kubo::Rpc& rpc_;
  const uint64_t capacity_;
  kubo::OwnCall call_;  // of the threads
  std::mutex mutex_;
  std::condition_variable queued_, arrived_;
  std::list<Slot> order_;
  std::unordered_map<ipld::Multihash, std::list<Slot>::iterator, Hash> slots_;
  std::unordered_map<ipld::Multihash, int, Hash> pending_;  // wanted: 0 queued, 1 being fetched
  std::deque<Wanted> queue_;
  std::deque<std::function<void()>> jobs_;
  std::atomic<uint64_t> ahead_{0};
  uint64_t bytes_ = 0;
  bool streams_parked_ = false;
  bool over_ = false;
  FileStreams streams_;
  std::vector<std::thread> threads_;
};

// What a DagReader reads from: the cache, under the call that runs at the moment. One thread at a time.
class CacheSource final : public ipld::BlockSource {
 public:
  CacheSource(BlockCache& cache, kubo::Reach reach) : cache_(cache), reach_(reach) {}
  // For a reader of the file `streamed`, whose bytes may also come as a stream.
  CacheSource(BlockCache& cache, kubo::Reach reach, const ipld::Cid& streamed)
      : cache_(cache), reach_(reach), streamed_(streamed) {}

  // Null: blocks in memory only; others are kNotFound.
  void set_call(const plugin::Call* call) noexcept { call_ = call; }
  // Ends a read: the stream waits for the next one.
  void rest() noexcept;
  bool streams() const noexcept override { return streamed_.has_value(); }
  // Whether the last bytes came from the stream.
  bool streaming() const noexcept { return streaming_; }
  std::optional<ipld::Bytes> file_bytes(const ipld::Cid& cid, uint64_t offset, uint64_t size) override;
  ipld::Bytes get(const ipld::Cid& cid) override;
  void want(std::span<const ipld::Cid> cids) override;

 private:
  BlockCache& cache_;
  const kubo::Reach reach_;
  const plugin::Call* call_ = nullptr;
  std::optional<ipld::Cid> streamed_;  // none, too, once a stream was of no use
  std::unique_ptr<FileStream> stream_;
  bool streaming_ = false;
  std::optional<ipld::Cid> given_;     // the leaf whose bytes came from the stream last
};

}  // namespace ipcs::ipfs_http
