// Whether a blob's bytes came, went or were replaced while somebody was reading them.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "oci/digest.hpp"

namespace ipcs::content {

// [thread-safe]. Costs nothing for digests that nobody watches.
class ChangeWatch {
 public:
  // One reader's look at a digest; must go before its ChangeWatch does.
  class Watch {
   public:
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
      const std::lock_guard guard(owner_.mutex_);
      owner_.watches_.erase(place_);
    }
    // Whether note() was called for the digest since the watch began.
    bool changed() const noexcept { return changed_; }

   private:
    friend class ChangeWatch;
    Watch(ChangeWatch& owner, const oci::Digest& digest) : owner_(owner) {
      const std::lock_guard guard(owner.mutex_);
      place_ = owner.watches_.emplace(digest, this);
    }

    ChangeWatch& owner_;
    std::atomic<bool> changed_{false};
    std::multimap<oci::Digest, Watch*>::iterator place_;
  };

  [[nodiscard]] Watch watch(const oci::Digest& digest) { return Watch(*this, digest); }

  void note(const oci::Digest& digest) noexcept {
    const std::lock_guard guard(mutex_);
    const auto [first, last] = watches_.equal_range(digest);
    for (auto each = first; each != last; ++each) each->second->changed_ = true;
  }

 private:
  std::mutex mutex_;
  std::multimap<oci::Digest, Watch*> watches_;
};

}  // namespace ipcs::content
