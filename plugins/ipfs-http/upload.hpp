// Staged bytes on their way to Kubo: leaves travel while bytes are still arriving.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "car_batch.hpp"
#include "ipld/dag_builder.hpp"
#include "kubo/patience.hpp"
#include "pins.hpp"
#include "staged_bytes.hpp"

namespace ipcs::ipfs_http {

class Upload;

// Threads that send batches of uploads in turn. [thread-safe]
class UploadPool {
 public:
  explicit UploadPool(size_t threads);
  ~UploadPool();
  UploadPool(const UploadPool&) = delete;
  UploadPool& operator=(const UploadPool&) = delete;

  void submit(std::shared_ptr<Upload> upload);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Upload>> queue_;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

// The DAG of one ingest, in Kubo's default layout. append notices, finish() and restart() come from one thread; the pool's
// threads work beside it.
class Upload : public std::enable_shared_from_this<Upload> {
 public:
  Upload(std::shared_ptr<StagedBytes> bytes, Index& index, kubo::Rpc& rpc, UploadPool& pool);

  // There are `size` bytes by now.
  void grown(uint64_t size);
  // Ends it: nothing more is sent. Returns once no thread works for it.
  void stop() noexcept;
  // Sends what is left, with the pool's help, and gives the root. What the pool could not send is sent again. Throws Error
  // as Rpc does; finish() may be tried again then.
  ipld::Subtree finish(const plugin::Call& call, uint64_t size);
  // Pins that hold the DAG; valid until stop(), released there.
  HeldPins& pins() noexcept { return *pins_; }

 private:
  friend class UploadPool;
  // What one request takes to Kubo: blocks, and of the full leaves among them the hashes.
  struct Load {
    CarBatch batch;
    std::vector<uint8_t> leaves;  // 32 bytes each
    uint64_t leaves_begin = 0;    // offset of the first one's bytes
  };
  // The part that is begun anew when something failed.
  struct Build {
    Load load;
    ipld::BlockCallback sink;
    ipld::DagBuilder builder;
    uint64_t fed = 0;
    Build();
    Load take();
  };
  // Takes one batch to Kubo, on a pool's thread.
  void turn();
  // What a turn takes; nothing when less than a batch is at hand, or when nothing is to be sent any more.
  std::optional<Load> take_load(const plugin::Call& call);
  // The caller holds mutex_.
  void submit();
  // Feeds the builder until the batch has `full` bytes or `size` is reached. The caller holds build_mutex_.
  void feed(const plugin::Call& call, uint64_t size, uint64_t full);
  void reset();
  bool has_turn() const;

  const std::shared_ptr<StagedBytes> bytes_;
  UploadPool& pool_;
  std::unique_ptr<HeldPins> pins_;

  std::mutex build_mutex_;  // held while the builder is fed, not while a batch travels
  std::unique_ptr<Build> build_;
  std::vector<uint8_t> buffer_;

  std::mutex mutex_;
  std::condition_variable idle_;
  std::unique_ptr<kubo::OwnCall> call_;  // of the turns; made with the first one
  uint64_t available_ = 0;  // bytes that have arrived
  uint64_t taken_ = 0;      // bytes that were fed
  size_t turns_ = 0;        // queued or running
  size_t hungry_ = 0;       // those of them that have yet to take their batch
  bool stopped_ = false;
  bool failed_ = false;     // a batch of the pool's was lost: all has to be sent again
};

}  // namespace ipcs::ipfs_http
