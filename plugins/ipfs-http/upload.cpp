// Turns on the pool's threads, and the end in the caller's.
#include "upload.hpp"

#include <algorithm>
#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {
constexpr size_t kReadStep = 1 << 20;
constexpr size_t kTurns = 2;  // of one upload at a time: one builds while the other's batch travels
}  // namespace

UploadPool::UploadPool(size_t threads) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

UploadPool::~UploadPool() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void UploadPool::submit(std::shared_ptr<Upload> upload) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(upload));
  changed_.notify_one();
}

void UploadPool::work() {
  for (;;) {
    std::shared_ptr<Upload> upload;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return over_ || !queue_.empty(); });
      if (over_) return;
      upload = std::move(queue_.front());
      queue_.pop_front();
    }
    upload->turn();
  }
}

Upload::Build::Build()
    : sink([this](const ipld::Cid& cid, ipld::BytesView data) {
        load.batch.put(cid, data);
        if (data.size() < kLeaf) return;  // an inner node, or the last leaf
        const ipld::BytesView hash = cid.hash().digest();
        load.leaves.insert(load.leaves.end(), hash.begin(), hash.end());
      }),
      builder(ipld::Profile(), sink) {}

Upload::Load Upload::Build::take() {
  Load next;
  next.leaves_begin = load.leaves_begin + load.leaves.size() / 32 * kLeaf;
  return std::exchange(load, std::move(next));
}

Upload::Upload(std::shared_ptr<StagedBytes> bytes, Index& index, kubo::Rpc& rpc, UploadPool& pool)
    : bytes_(std::move(bytes)), pool_(pool), pins_(std::make_unique<HeldPins>(index, rpc)) {}

bool Upload::has_turn() const {
  return !stopped_ && !failed_ && turns_ < kTurns && available_ >= taken_ + (hungry_ + 1) * kBatchBytes;
}

void Upload::grown(uint64_t size) {
  const std::lock_guard lock(mutex_);
  available_ = size;
  if (has_turn()) submit();
}

void Upload::submit() {
  if (!call_) call_ = std::make_unique<kubo::OwnCall>();
  ++turns_;
  ++hungry_;
  pool_.submit(shared_from_this());
}

void Upload::turn() {
  const plugin::Call call = call_->call();
  bool lost = false;
  std::optional<Load> load;
  try {
    load = take_load(call);
  } catch (const std::exception&) {
    lost = true;  // finish() tries again and tells
  }
  {
    const std::lock_guard lock(mutex_);
    failed_ = failed_ || lost;
    --hungry_;
    if (has_turn()) submit();
  }
  try {
    if (load) {
      const ipld::Cid guard = pins_->send(call, load->batch);
      bytes_->given({load->leaves_begin, std::move(load->leaves), guard});
    }
  } catch (const std::exception&) {
    lost = true;
  }
  load.reset();  // before the next one is made
  const std::lock_guard lock(mutex_);
  failed_ = failed_ || lost;
  --turns_;
  if (has_turn()) submit();
  if (turns_ == 0) idle_.notify_all();
}

std::optional<Upload::Load> Upload::take_load(const plugin::Call& call) {
  const std::lock_guard build(build_mutex_);
  uint64_t size = 0, full = 0;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || failed_) return std::nullopt;
    size = available_;
    full = std::clamp((size - taken_) / kTurns, kBatchBytes, kLargeBatch);
  }
  feed(call, size, full);
  if (build_->load.batch.bytes() < kBatchBytes) return std::nullopt;
  return build_->take();
}

void Upload::feed(const plugin::Call& call, uint64_t size, uint64_t full) {
  if (!build_) build_ = std::make_unique<Build>();
  buffer_.resize(kReadStep);
  CarBatch& batch = build_->load.batch;
  batch.reserve(std::min(full, size - build_->fed + batch.bytes()) + kReadStep + (kReadStep >> 4));
  while (build_->fed < size && batch.bytes() < full) {
    call.check();
    const auto piece = std::span(buffer_).first(static_cast<size_t>(std::min<uint64_t>(kReadStep, size - build_->fed)));
    if (bytes_->read_at(call, build_->fed, piece) != piece.size())
      throw Error(Code::kDataLoss, "bytes that arrived are lost at " + std::to_string(build_->fed));
    build_->builder.append(piece);
    build_->fed += piece.size();
    const std::lock_guard lock(mutex_);
    taken_ = build_->fed;
  }
}

void Upload::stop() noexcept {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  if (call_) call_->cancel();
  idle_.wait(lock, [this] { return turns_ == 0; });
  pins_->release();
}

void Upload::reset() {
  const std::lock_guard build(build_mutex_);
  build_.reset();
  const std::lock_guard lock(mutex_);
  taken_ = 0;
  failed_ = false;
}

ipld::Subtree Upload::finish(const plugin::Call& call, uint64_t size) {
  {
    // One turn brings the next, until less than a batch is left.
    std::unique_lock lock(mutex_);
    while (has_turn()) submit();
    while (turns_ > 0) {
      idle_.wait_for(lock, std::chrono::milliseconds(50));
      call.check();
    }
  }
  if (failed_) reset();
  const std::lock_guard build(build_mutex_);
  try {
    feed(call, size, kBatchBytes);
    while (build_->fed < size) {
      pins_->send(call, build_->take().batch);
      feed(call, size, kBatchBytes);
    }
    const ipld::Subtree root = build_->builder.finish();
    pins_->send(call, build_->load.batch);
    return root;
  } catch (...) {
    build_.reset();
    const std::lock_guard lock(mutex_);
    taken_ = 0;
    throw;
  }
}

}  // namespace ipcs::ipfs_http
