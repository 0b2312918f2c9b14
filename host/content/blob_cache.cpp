// A list in order of use, an index into it, and what is being opened.
#include "content/blob_cache.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>

namespace ipcs::content {
namespace {

// Milliseconds until the call's deadline, for poll; -1: it has none.
int time_left(const Call& call) {
  const int64_t deadline = call.abi()->deadline_ns;
  if (deadline == INT64_MAX) return -1;
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(Call::Clock::now().time_since_epoch()).count();
  return static_cast<int>(std::clamp<int64_t>((deadline - now) / 1'000'000 + 1, 0, INT_MAX));
}

}  // namespace

// Guarded by the cache's mutex, but for the descriptor once it is made.
struct BlobCache::Opening {
  Opening() = default;
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() {
    if (over_fd >= 0) ::close(over_fd);
  }
  // Before the first wait, under the mutex.
  void make_waitable() {
    if (over_fd < 0) over_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (over_fd < 0) throw Error(Code::kResourceExhausted, "no descriptor is left to wait for a blob");
  }
  // Returns when the opening is over.
  void wait(const Call& call, const oci::Digest& digest) const {
    pollfd fds[] = {{over_fd, POLLIN, 0}, {call.abi()->cancel_fd(call.abi()), POLLIN, 0}};
    for (;;) {
      if (call.cancelled()) throw Error(Code::kCancelled, fmt::format("content {}: cancelled", digest.to_string()));
      const int left = time_left(call);
      if (left == 0)
        throw Error(Code::kDeadlineExceeded, fmt::format("content {}: not opened in time", digest.to_string()));
      if (::poll(fds, 2, left) > 0 && fds[0].revents != 0) return;
    }
  }
  // Whether it failed because its caller has gone, which is nobody else's failure.
  bool given_up() const { return code == Code::kCancelled || code == Code::kDeadlineExceeded; }

  int over_fd = -1;  // readable once it is over
  std::shared_ptr<const OpenBlob> blob;
  Code code = Code::kUnknown;  // where there is no blob
  std::string message;
};

std::shared_ptr<const OpenBlob> BlobCache::find(const oci::Digest& digest) {
  const std::lock_guard guard(mutex_);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return *found->second;
}

std::shared_ptr<const OpenBlob> BlobCache::find_or_open(const Call& call, const oci::Digest& digest,
                                                        const std::function<OpenBlob()>& open) {
  for (;;) {
    std::shared_ptr<Opening> opening;
    bool mine = false;
    {
      const std::lock_guard guard(mutex_);
      if (const auto found = by_digest_.find(digest); found != by_digest_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return *found->second;
      }
      std::shared_ptr<Opening>& slot = openings_[digest];
      mine = !slot;
      if (mine) {
        slot = std::make_shared<Opening>();
      } else {
        slot->make_waitable();
      }
      opening = slot;
    }
    if (mine) return lead(digest, *opening, open);
    opening->wait(call, digest);
    const std::lock_guard guard(mutex_);
    if (opening->blob) return opening->blob;
    if (!opening->given_up()) throw Error(opening->code, opening->message);
  }
}

std::shared_ptr<const OpenBlob> BlobCache::lead(const oci::Digest& digest, Opening& opening,
                                                const std::function<OpenBlob()>& open) {
  std::shared_ptr<const OpenBlob> blob;
  const auto failed = [&](Code code, const char* message) {
    {
      const std::lock_guard guard(mutex_);
      opening.code = code;
      opening.message = message;
    }
    end(digest, opening);
  };
  try {
    blob = std::make_shared<const OpenBlob>(open());
  } catch (const Error& e) {
    failed(e.code(), e.what());
    throw;
  } catch (const std::exception& e) {
    failed(Code::kInternal, e.what());
    throw;
  }
  {
    const std::lock_guard guard(mutex_);
    opening.blob = blob;
  }
  end(digest, opening);
  return blob;
}

void BlobCache::end(const oci::Digest& digest, Opening& opening) {
  std::shared_ptr<const OpenBlob> evicted;  // closed after the mutex is free: closing may reach the disk
  const std::lock_guard guard(mutex_);
  const uint64_t one = 1;
  if (opening.over_fd >= 0 && ::write(opening.over_fd, &one, sizeof one) < 0) {
    // The counter of a descriptor that is written to once can't be full.
  }
  const auto mine = openings_.find(digest);
  if (mine == openings_.end() || mine->second.get() != &opening) return;  // erased meanwhile
  openings_.erase(mine);
  if (!opening.blob || by_digest_.contains(digest)) return;
  order_.push_front(opening.blob);
  by_digest_.emplace(digest, order_.begin());
  if (order_.size() > capacity_) {
    evicted = std::move(order_.back());
    by_digest_.erase(evicted->digest);
    order_.pop_back();
  }
}

void BlobCache::erase(const oci::Digest& digest) {
  std::shared_ptr<const OpenBlob> evicted;
  const std::lock_guard guard(mutex_);
  openings_.erase(digest);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return;
  evicted = std::move(*found->second);
  order_.erase(found->second);
  by_digest_.erase(found);
}

void BlobCache::clear() {
  Order evicted;
  const std::lock_guard guard(mutex_);
  openings_.clear();
  by_digest_.clear();
  evicted.swap(order_);
}

}  // namespace ipcs::content
