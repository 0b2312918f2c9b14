// DagReaders, each for one thread at a time, handed out by where they stand.
#include "blob_reader.hpp"

#include <algorithm>

#include "ipcs/error.hpp"

namespace ipcs::ipfs_http {
namespace {
constexpr size_t kMaxFree = 8;  // positions that are kept
}

BlobReader::Position::Position(const plugin::Call& call, BlockCache& cache, const ipld::Cid& root)
    : source(cache, kubo::Reach::kNetwork), reader((source.set_call(&call), source), root) {}

BlobReader::BlobReader(const plugin::Call& call, BlockCache& cache, std::string digest, const ipld::Cid& root,
                       uint64_t size, std::function<void()> closed)
    : cache_(cache), digest_(std::move(digest)), root_(root), size_(size), closed_(std::move(closed)) {
  auto first = take(&call, 0);
  if (first->reader.size() != size_)
    throw Error(Code::kDataLoss, "blob " + digest_ + ": its root says " + std::to_string(first->reader.size()) +
                                     " bytes, not " + std::to_string(size_));
  give_back(std::move(first));
}

std::unique_ptr<BlobReader::Position> BlobReader::take(const plugin::Call* call, uint64_t offset) {
  {
    const std::lock_guard lock(mutex_);
    auto found = std::find_if(free_.begin(), free_.end(), [&](const auto& position) { return position->next == offset; });
    if (found == free_.end() && !free_.empty() && (call == nullptr || free_.size() >= kMaxFree)) found = free_.begin();
    if (found != free_.end()) {
      auto position = std::move(*found);
      free_.erase(found);
      return position;
    }
  }
  if (call == nullptr) return nullptr;
  try {
    return std::make_unique<Position>(*call, cache_, root_);
  } catch (const Error& e) {
    if (e.code() == Code::kDataLoss) cache_.drop(root_);
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded || e.code() == Code::kFailedPrecondition) throw;
    throw Error(Code::kDataLoss, "blob " + digest_ + ": " + e.what());
  }
}

void BlobReader::give_back(std::unique_ptr<Position> position) noexcept {
  position->source.set_call(nullptr);
  std::unique_ptr<Position> oldest;
  const std::lock_guard lock(mutex_);
  if (free_.size() >= kMaxFree) {
    oldest = std::move(free_.front());
    free_.erase(free_.begin());
  }
  free_.push_back(std::move(position));
}

size_t BlobReader::read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) {
  if (offset >= size_ || out.empty()) return 0;
  auto position = take(&call, offset);
  position->source.set_call(&call);
  try {
    const size_t count = position->reader.read_at(offset, out);
    position->next = offset + count;
    give_back(std::move(position));
    return count;
  } catch (const Error& e) {
    const bool missing = e.code() == Code::kNotFound || e.code() == Code::kDataLoss || e.code() == Code::kInternal;
    throw Error(missing ? Code::kDataLoss : e.code(), "blob " + digest_ + ": " + e.what());
  }
}

size_t BlobReader::read_cached(uint64_t offset, std::span<uint8_t> out) noexcept {
  if (offset >= size_ || out.empty()) return 0;
  try {
    auto position = take(nullptr, offset);
    if (!position) return 0;
    size_t count = 0;
    try {
      count = position->reader.read_at(offset, out);
      position->next = offset + count;
    } catch (const Error&) {
      // A block that is not in memory; the reader is as good as before.
    }
    give_back(std::move(position));
    return count;
  } catch (...) {
    return 0;
  }
}

}  // namespace ipcs::ipfs_http
