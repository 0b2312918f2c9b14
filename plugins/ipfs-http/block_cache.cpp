// One list in order of use, one queue of wants, some threads.
#include "block_cache.hpp"

#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {
constexpr size_t kMaxQueue = 1024;  // wants; more are not remembered
}

size_t BlockCache::Hash::operator()(const ipld::Multihash& hash) const noexcept {
  size_t value = 0;
  const ipld::BytesView digest = hash.digest();
  std::memcpy(&value, digest.data(), std::min(sizeof value, digest.size()));
  return value;
}

BlockCache::BlockCache(kubo::Rpc& rpc, uint64_t capacity, size_t threads) : rpc_(rpc), capacity_(capacity) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

BlockCache::~BlockCache() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  call_.cancel();
  queued_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

BlockPtr BlockCache::use(const ipld::Multihash& hash) {
  const auto found = slots_.find(hash);
  if (found == slots_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return found->second->block;
}

void BlockCache::keep(const ipld::Multihash& hash, BlockPtr block) {
  if (slots_.contains(hash)) return;
  bytes_ += block->size();
  order_.push_front({hash, std::move(block)});
  slots_.emplace(hash, order_.begin());
  while (bytes_ > capacity_ && order_.size() > 1) {
    bytes_ -= order_.back().block->size();
    slots_.erase(order_.back().hash);
    order_.pop_back();
  }
}

BlockPtr BlockCache::find(const ipld::Cid& cid) {
  const std::lock_guard lock(mutex_);
  return use(cid.hash());
}

BlockPtr BlockCache::get(const plugin::Call& call, const ipld::Cid& cid, kubo::Reach reach) {
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (BlockPtr block = use(cid.hash())) return block;
      const auto pending = pending_.find(cid.hash());
      if (pending == pending_.end()) break;
      if (pending->second == 0) {  // nobody has begun: this thread is faster than the queue
        pending_.erase(pending);
        break;
      }
      arrived_.wait_for(lock, std::chrono::milliseconds(50));
      call.check();
    }
  }
  auto block = std::make_shared<const ipld::Bytes>(rpc_.block_get(call, cid, reach));
  const std::lock_guard lock(mutex_);
  keep(cid.hash(), block);
  return block;
}

void BlockCache::want(std::span<const ipld::Cid> cids, kubo::Reach reach) {
  const std::lock_guard lock(mutex_);
  for (const ipld::Cid& cid : cids) {
    if (queue_.size() >= kMaxQueue) return;
    if (cid.hash().code() == ipld::HashCode::kIdentity || slots_.contains(cid.hash())) continue;
    if (!pending_.emplace(cid.hash(), 0).second) continue;
    queue_.push_back({cid, reach});
    queued_.notify_one();
  }
}

bool BlockCache::expects(const ipld::Cid& cid) {
  const std::lock_guard lock(mutex_);
  return slots_.contains(cid.hash()) || pending_.contains(cid.hash());
}

void BlockCache::park(std::unique_ptr<FileStream> stream) {
  streams_.park(std::move(stream));
  const std::lock_guard lock(mutex_);
  if (streams_parked_) return;
  streams_parked_ = true;
  queued_.notify_one();
}

void BlockCache::run(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  queued_.notify_one();
}

bool BlockCache::take_ahead(uint64_t bytes) noexcept {
  if (ahead_.fetch_add(bytes) + bytes <= capacity_ / 2) return true;
  ahead_ -= bytes;
  return false;
}

void BlockCache::drop(const ipld::Cid& cid) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(cid.hash());
  if (found == slots_.end()) return;
  bytes_ -= found->second->block->size();
  order_.erase(found->second);
  slots_.erase(found);
}

void BlockCache::work() {
  const plugin::Call call = call_.call();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!jobs_.empty() && !over_) {
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
      continue;
    }
    if (queue_.empty() && !over_) {
      if (streams_parked_) {
        queued_.wait_for(lock, FileStreams::kIdle / 2);
        streams_parked_ = streams_.end_idle();
      } else {
        queued_.wait(lock);
      }
      continue;
    }
    if (over_) return;
    const Wanted wanted = queue_.front();
    queue_.pop_front();
    const auto pending = pending_.find(wanted.cid.hash());
    if (pending == pending_.end() || pending->second != 0) continue;  // a reader took it
    pending->second = 1;
    lock.unlock();
    BlockPtr block;
    try {
      block = std::make_shared<const ipld::Bytes>(rpc_.block_get(call, wanted.cid, wanted.reach));
    } catch (const std::exception&) {
      // A hint that failed: whoever needs the block asks itself and hears why.
    }
    lock.lock();
    pending_.erase(wanted.cid.hash());
    if (block) keep(wanted.cid.hash(), std::move(block));
    arrived_.notify_all();
  }
}

ipld::Bytes CacheSource::get(const ipld::Cid& cid) {
  if (given_ == cid) {  // its bytes proved wrong: a DAG that is laid out otherwise, or a Kubo that can't be trusted
    streamed_.reset();
    stream_.reset();
    given_.reset();
  }
  const BlockPtr block = call_ != nullptr ? cache_.get(*call_, cid, reach_) : cache_.find(cid);
  if (!block) throw Error(Code::kNotFound, "block " + cid.to_string() + ": not in memory");
  return *block;
}

std::optional<ipld::Bytes> CacheSource::file_bytes(const ipld::Cid& cid, uint64_t offset, uint64_t size) {
  if (call_ == nullptr || !streamed_) return std::nullopt;
  try {
    if (stream_ && stream_->next() != offset) stream_.reset();
    if (!stream_) stream_ = cache_.take_stream(*streamed_, offset);
    if (!stream_ && cache_.expects(cid)) return std::nullopt;
    if (!stream_) stream_ = std::make_unique<FileStream>(*call_, cache_.rpc(), *streamed_, offset);
    ipld::Bytes bytes(static_cast<size_t>(size));
    stream_->read(*call_, bytes);
    given_ = cid;
    streaming_ = true;
    return bytes;
  } catch (const Error& e) {
    stream_.reset();
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded) throw;
    streamed_.reset();  // the block itself tells what is wrong
    return std::nullopt;
  }
}

void CacheSource::rest() noexcept {
  call_ = nullptr;
  given_.reset();
  if (!stream_) return;
  try {
    cache_.park(std::move(stream_));
  } catch (const std::exception&) {
    // No memory to remember it: it has ended.
  }
}

void CacheSource::want(std::span<const ipld::Cid> cids) {
  streaming_ = false;
  cache_.want(cids, reach_);
}

}  // namespace ipcs::ipfs_http
