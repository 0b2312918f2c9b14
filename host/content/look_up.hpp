// Searches of the network for blobs that are not here, bounded in time and number.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "ipcs/store_extensions.hpp"
#include "log/log.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

// containerd asks for every blob of an image before it downloads it, inside a transaction of its own. So a search has
// little time, those who ask for the same digest share one, and what was not found is not searched again for a while.
// [thread-safe]
class LookUps {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kNotAgain{5};  // after a search without success
  static constexpr size_t kRemembered = 4096;          // of such digests

  // `timeout` of a search; 0 turns them off. `locator` empty: the backend has no network.
  LookUps(std::optional<Locator> locator, std::chrono::milliseconds timeout, log::Log log)
      : locator_(locator), timeout_(timeout), log_(std::move(log)) {}

  // Whether to ask find() for a blob that the store does not know. Never waits.
  bool worthwhile(const oci::Digest& digest) const;

  // Searches until the timeout or the call's deadline. Returns whether the store knows the blob now. What fails is
  // logged and counts as not found: the client can still download the blob.
  bool find(const Call& call, const oci::Digest& digest);

 private:
  struct Search {
    bool over = false;
    bool found = false;
  };

  bool search(const Call& call, Clock::time_point deadline, const oci::Digest& digest);
  void remember(const oci::Digest& digest);

  const std::optional<Locator> locator_;
  const std::chrono::milliseconds timeout_;
  const log::Log log_;
  mutable std::mutex mutex_;  // never held over a search
  std::condition_variable changed_;
  std::map<oci::Digest, std::shared_ptr<Search>> searches_;  // under way
  std::map<oci::Digest, Clock::time_point> not_found_;       // until when
  bool failing_ = false;                                     // the last search failed; told once
};

}  // namespace ipcs::content
