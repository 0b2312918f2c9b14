// DagReaders, each for one thread at a time, handed out by where they stand.
#include "blob_reader.hpp"

#include <algorithm>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {
constexpr size_t kMaxFree = 8;  // positions that are kept
constexpr size_t kAhead = 2 << 20, kPiece = 512 << 10;  // bytes
}  // namespace

BlobReader::Position::Position(const plugin::Call& call, BlockCache& cache, const ipld::Cid& root)
    : source(cache, kubo::Reach::kNetwork, root), reader((source.set_call(&call), source), root) {}

BlobReader::BlobReader(const plugin::Call& call, BlockCache& cache, std::string digest, const ipld::Cid& root,
                       uint64_t size, std::function<void()> closed)
    : cache_(cache), digest_(std::move(digest)), root_(root), size_(size), closed_(std::move(closed)) {
  auto first = take(&call, 0);
  if (first->reader.size() != size_)
    throw Error(Code::kDataLoss, "blob " + digest_ + ": its root says " + std::to_string(first->reader.size()) +
                                     " bytes, not " + std::to_string(size_));
  give_back(std::move(first));
}

BlobReader::~BlobReader() {
  {
    std::unique_lock lock(mutex_);
    shared_->over = true;
    if (ahead_call_) ahead_call_->cancel();
    shared_->changed.wait(lock, [this] { return shared_->running == 0; });
    for (const PositionPtr& position : free_) forget_ahead(*position);
  }
  closed_();
}

void BlobReader::forget_ahead(Position& position) noexcept {
  cache_.release_ahead(position.ahead_bytes + position.used);
  position.ahead.clear();
  position.used = position.ahead_bytes = 0;
}

BlobReader::PositionPtr BlobReader::take(const plugin::Call* call, uint64_t offset) {
  {
    const std::lock_guard lock(mutex_);
    auto found = std::find_if(free_.begin(), free_.end(), [&](const auto& position) { return position->next == offset; });
    if (found == free_.end() && (call == nullptr || free_.size() >= kMaxFree)) {
      found = std::find_if(free_.begin(), free_.end(), [&](const auto& position) {
        return !position->filling && (call != nullptr || position->ahead_bytes == 0);
      });
    }
    if (found != free_.end()) {
      PositionPtr position = std::move(*found);
      free_.erase(found);
      if (position->next != offset) forget_ahead(*position);
      return position;
    }
  }
  if (call == nullptr) return nullptr;
  try {
    return std::make_shared<Position>(*call, cache_, root_);
  } catch (const Error& e) {
    if (e.code() == Code::kDataLoss) cache_.drop(root_);
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded || e.code() == Code::kFailedPrecondition) throw;
    throw Error(Code::kDataLoss, "blob " + digest_ + ": " + e.what());
  }
}

void BlobReader::give_back(PositionPtr position) noexcept {
  PositionPtr oldest;
  const std::lock_guard lock(mutex_);
  if (!position->filling) position->source.rest();
  const auto idle = std::find_if(free_.begin(), free_.end(), [](const auto& other) { return !other->filling; });
  if (free_.size() >= kMaxFree && idle != free_.end()) {
    oldest = std::move(*idle);
    free_.erase(idle);
    forget_ahead(*oldest);
  }
  free_.push_back(std::move(position));
}

size_t BlobReader::take_ahead(Position& position, std::span<uint8_t> out) {
  const std::lock_guard lock(mutex_);
  size_t done = 0;
  while (done < out.size() && !position.ahead.empty()) {
    const ipld::Bytes& piece = position.ahead.front();
    const size_t count = std::min(out.size() - done, piece.size() - position.used);
    std::copy_n(piece.begin() + static_cast<ptrdiff_t>(position.used), count, out.begin() + static_cast<ptrdiff_t>(done));
    done += count;
    position.used += count;
    position.ahead_bytes -= count;
    if (position.used < piece.size()) break;
    cache_.release_ahead(piece.size());
    position.ahead.pop_front();
    position.used = 0;
  }
  position.next += done;
  return done;
}

void BlobReader::read_ahead(const PositionPtr& position) {
  {
    const std::lock_guard lock(mutex_);
    if (position->filling || position->ahead_bytes > kAhead / 2 || position->next + position->ahead_bytes >= size_) return;
    if (!position->source.streaming()) return;
    position->source.rest();
    if (!ahead_call_) ahead_call_ = std::make_unique<kubo::OwnCall>();
    position->filling = true;
  }
  try {
    cache_.run([this, position, shared = shared_] {
      {
        const std::lock_guard lock(shared->mutex);
        if (shared->over) return;
        ++shared->running;
      }
      fill(*position);
      const std::lock_guard lock(shared->mutex);
      position->filling = false;
      --shared->running;
      shared->changed.notify_all();
    });
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    position->filling = false;
  }
}

void BlobReader::fill(Position& position) noexcept {
  try {
    const plugin::Call call = ahead_call_->call();
    position.source.set_call(&call);
    for (;;) {
      uint64_t at = 0;
      {
        const std::lock_guard lock(mutex_);
        at = position.next + position.ahead_bytes;
        if (shared_->over || position.ahead_bytes >= kAhead) break;
      }
      ipld::Bytes piece(static_cast<size_t>(std::min<uint64_t>(kPiece, size_ - at)));
      if (piece.empty() || !cache_.take_ahead(piece.size())) break;
      try {
        position.reader.read_at(at, piece);
        const std::lock_guard lock(mutex_);
        position.ahead_bytes += piece.size();
        position.ahead.push_back(std::move(piece));
      } catch (...) {
        cache_.release_ahead(piece.size());
        throw;
      }
      shared_->changed.notify_all();
    }
  } catch (const std::exception&) {
    // Whoever needs the bytes reads them and hears why.
  }
  position.source.rest();
}

size_t BlobReader::read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) {
  if (offset >= size_ || out.empty()) return 0;
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset));
  const PositionPtr position = take(&call, offset);
  try {
    for (size_t count = 0;;) {
      count += take_ahead(*position, out.subspan(count, wanted - count));
      if (count == wanted) break;
      {
        std::unique_lock lock(mutex_);
        if (position->ahead_bytes > 0) continue;
        if (position->filling) {
          shared_->changed.wait_for(lock, std::chrono::milliseconds(50));
          lock.unlock();
          call.check();
          continue;
        }
      }
      position->source.set_call(&call);
      const size_t more = position->reader.read_at(offset + count, out.subspan(count, wanted - count));
      const std::lock_guard lock(mutex_);
      position->next = offset + count + more;
      count += more;
      if (count == wanted) break;
    }
    read_ahead(position);
    give_back(position);
    return wanted;
  } catch (const Error& e) {
    std::unique_lock lock(mutex_);
    if (position->filling) {
      lock.unlock();
      give_back(position);
    } else {
      forget_ahead(*position);
      lock.unlock();
    }
    const bool missing = e.code() == Code::kNotFound || e.code() == Code::kDataLoss || e.code() == Code::kInternal;
    throw Error(missing ? Code::kDataLoss : e.code(), "blob " + digest_ + ": " + e.what());
  }
}

size_t BlobReader::read_cached(uint64_t offset, std::span<uint8_t> out) noexcept {
  if (offset >= size_ || out.empty()) return 0;
  try {
    const PositionPtr position = take(nullptr, offset);
    if (!position) return 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset));
    bool at_hand = false, free = false;
    {
      const std::lock_guard lock(mutex_);
      at_hand = position->ahead_bytes >= wanted;
      free = !position->filling && position->ahead_bytes == 0;
    }
    size_t count = 0;
    if (at_hand) {
      count = take_ahead(*position, out.first(wanted));
      read_ahead(position);
    } else if (free) {
      try {
        count = position->reader.read_at(offset, out);
        const std::lock_guard lock(mutex_);
        position->next = offset + count;
      } catch (const Error&) {
        // A block that is not in memory; the reader is as good as before.
      }
    }
    give_back(position);
    return count;
  } catch (...) {
    return 0;
  }
}

}  // namespace ipcs::ipfs_http
