// One thread at a time for each digest.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "ipcs/plugin.hpp"

namespace ipcs::ipfs_http {

// [thread-safe]
class DigestLocks {
 public:
  class Held {
   public:
    Held(DigestLocks& locks, std::string digest) : locks_(&locks), digest_(std::move(digest)) {}
    Held(Held&& other) noexcept : locks_(std::exchange(other.locks_, nullptr)), digest_(std::move(other.digest_)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (locks_ == nullptr) return;
      const std::lock_guard lock(locks_->mutex_);
      locks_->held_.erase(digest_);
      locks_->freed_.notify_all();
    }

   private:
    DigestLocks* locks_;
    std::string digest_;
  };

  // Throws Error when the call ends before.
  Held lock(const plugin::Call& call, std::string_view digest) {
    std::string name(digest);
    std::unique_lock lock(mutex_);
    while (!held_.insert(name).second) {
      freed_.wait_for(lock, std::chrono::milliseconds(20));
      call.check();
    }
    return {*this, std::move(name)};
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::set<std::string> held_;
};

}  // namespace ipcs::ipfs_http
