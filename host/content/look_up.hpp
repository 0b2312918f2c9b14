// Searches of the network for blobs that are not here, bounded in time and number.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ipcs/store_extensions.hpp"
#include "log/log.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

// containerd asks for every blob of an image before it downloads it, inside a transaction of its own. So a search has
// little time, those who ask for the same digest share one, and what was not found is not searched again for a while.
// A search runs on a thread of its own, so that a backend that ignores its deadline holds up nobody: who asked is told "not
// found" in time, and the search is left to itself. Those that hang are bounded in number. [thread-safe]
class LookUps {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kNotAgain{5};  // after a search without success
  static constexpr size_t kRemembered = 4096;          // of such digests
  static constexpr size_t kMostSearches = 256;         // at once, each a thread; a call beyond that finds nothing

  // `timeout` of a search; 0 turns them off. `locator` empty: the backend has no network.
  LookUps(std::optional<Locator> locator, std::chrono::milliseconds timeout, log::Log log)
      : locator_(locator), timeout_(timeout), log_(std::move(log)) {}
  ~LookUps() { stop(); }
  LookUps(const LookUps&) = delete;
  LookUps& operator=(const LookUps&) = delete;

  // Whether to ask find() for a blob that the store does not know. Never waits.
  bool worthwhile(const oci::Digest& digest) const;

  // Searches until the timeout or the call's deadline, whatever the backend does. Returns whether the store knows the blob
  // now. What fails is logged and counts as not found: the client can still download the blob.
  bool find(const Call& call, const oci::Digest& digest);

  // Cancels the searches and waits until the backend has returned from all of them; no other begins.
  void stop();

 private:
  struct Search {
    explicit Search(Clock::time_point until) : deadline(until), call(until) {}
    const Clock::time_point deadline;
    Call call;  // not the caller's own: others wait for the result, and he may go away
    bool over = false;
    bool found = false;
  };

  // Null where none can begin. With mutex_.
  std::shared_ptr<Search> begin(const Call& call, const oci::Digest& digest);
  void run(Search& search, const oci::Digest& digest) noexcept;
  bool ask(const Call& call, const oci::Digest& digest);
  // Tells of the first of several failures in a row. With mutex_.
  void tell(const std::string& failure, const oci::Digest& digest);
  void remember(const oci::Digest& digest);

  const std::optional<Locator> locator_;
  const std::chrono::milliseconds timeout_;
  const log::Log log_;
  mutable std::mutex mutex_;  // never held over a search
  std::condition_variable changed_;
  std::map<oci::Digest, std::shared_ptr<Search>> searches_;  // under way
  std::map<oci::Digest, Clock::time_point> not_found_;       // until when
  bool failing_ = false;                                     // the last search failed; told once
  bool full_ = false;                                        // there were too many; told once
  bool stopping_ = false;
};

}  // namespace ipcs::content
