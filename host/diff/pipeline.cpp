// Two threads around a ring of buffers.
#include "diff/pipeline.hpp"

#include <algorithm>
#include <chrono>

#include "ipcs/error.hpp"
#include "oci/digest.hpp"

namespace ipcs::diff {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

}  // namespace

Pipeline::Pipeline(Decompressor& decompressor, uint64_t limit) : decompressor_(decompressor), limit_(limit) {
  hasher_ = std::thread([this] { hash(); });
  decompressing_ = std::thread([this] { decompress(); });
}

Pipeline::~Pipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  decompressing_.join();
  hasher_.join();
}

void Pipeline::decompress() {
  for (;;) {
    size_t slot = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || made_ - std::min(hashed_, read_) < kBuffers; });
      if (stopping_) return;
      slot = made_ % kBuffers;
    }
    const auto begun = Clock::now();
    size_t count = 0;
    std::exception_ptr failure;
    try {
      buffers_[slot].resize(kBuffer);
      count = decompressor_.read(buffers_[slot]);
      if (limit_ != 0 && totals_.size + count > limit_)
        throw Error(Code::kResourceExhausted,
                    "the layer is larger than " + std::to_string(limit_) + " bytes uncompressed, the limit");
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    totals_.decompress_seconds += since(begun);
    failure_ = failure;
    over_ = failure || count < kBuffer;
    if (!failure && count > 0) {
      totals_.size += count;
      filled_[slot] = count;
      ++made_;
    }
    changed_.notify_all();
    if (over_) return;
  }
}

void Pipeline::hash() {
  oci::Hasher hasher;
  for (;;) {
    size_t slot = 0;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || over_ || hashed_ < made_; });
      if (stopping_) return;
      if (hashed_ == made_) {
        totals_.digest = hasher.digest().to_string();
        changed_.notify_all();
        return;
      }
      slot = hashed_ % kBuffers;
    }
    const auto begun = Clock::now();
    hasher.update(std::span<const uint8_t>(buffers_[slot]).first(filled_[slot]));
    const std::lock_guard lock(mutex_);
    totals_.hash_seconds += since(begun);
    ++hashed_;
    changed_.notify_all();
  }
}

std::span<const uint8_t> Pipeline::next(size_t max) {
  if (rest_.empty()) {
    std::unique_lock lock(mutex_);
    if (holds_) {
      ++read_;
      holds_ = false;
      changed_.notify_all();
    }
    changed_.wait(lock, [this] { return over_ || read_ < made_; });
    if (read_ == made_) {
      if (failure_) std::rethrow_exception(failure_);
      return {};
    }
    rest_ = std::span<const uint8_t>(buffers_[read_ % kBuffers]).first(filled_[read_ % kBuffers]);
    holds_ = true;
  }
  const auto piece = rest_.first(std::min(max, rest_.size()));
  rest_ = rest_.subspan(piece.size());
  return piece;
}

StreamTotals Pipeline::finish() {
  while (!next(kBuffer).empty()) {
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !totals_.digest.empty(); });
  return totals_;
}

}  // namespace ipcs::diff
