// One search for a digest at a time, on a thread of its own; everybody who asks waits for its end or his own.
#include "content/look_up.hpp"

#include <algorithm>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

namespace ipcs::content {

using oci::Digest;

bool LookUps::worthwhile(const Digest& digest) const {
  if (!locator_ || timeout_.count() <= 0) return false;
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  // One that goes on after its time tells nobody anything any more.
  if (const auto running = searches_.find(digest); running != searches_.end()) return running->second->deadline > now;
  const auto known = not_found_.find(digest);
  return known == not_found_.end() || known->second <= now;
}

bool LookUps::find(const Call& call, const Digest& digest) {
  std::unique_lock lock(mutex_);
  const auto running = searches_.find(digest);
  const std::shared_ptr<Search> search = running != searches_.end() ? running->second : begin(call, digest);
  if (!search) return false;
  const Clock::time_point asked(std::chrono::nanoseconds(call.abi()->deadline_ns));
  changed_.wait_until(lock, std::min(asked, search->deadline), [&] { return search->over; });
  return search->found;
}

std::shared_ptr<LookUps::Search> LookUps::begin(const Call& call, const Digest& digest) {
  if (stopping_) return nullptr;
  if (searches_.size() >= kMostSearches) {
    if (!std::exchange(full_, true))
      log_.warn("too many searches on the network are under way or hang in the backend: others find nothing",
                {{"searches", std::to_string(searches_.size())}});
    return nullptr;
  }
  const auto search = std::make_shared<Search>(Clock::now() + timeout_);
  search->call.set_trace(call.abi()->trace_id, call.abi()->span_id);
  searches_.emplace(digest, search);
  try {
    std::thread([this, search, digest] { run(*search, digest); }).detach();  // stop() waits for it
  } catch (const std::system_error& e) {
    searches_.erase(digest);
    tell(e.what(), digest);
    return nullptr;
  }
  return search;
}

void LookUps::run(Search& search, const Digest& digest) noexcept {
  const bool found = ask(search.call, digest);
  const std::lock_guard lock(mutex_);
  if (!found) remember(digest);
  search.over = true;
  search.found = found;
  searches_.erase(digest);
  if (searches_.size() <= kMostSearches / 2) full_ = false;
  // Under the mutex: the destructor may run as soon as it is free.
  changed_.notify_all();
}

bool LookUps::ask(const Call& call, const Digest& digest) {
  std::string failure;
  try {
    const bool found = locator_->look_up(call, digest.to_string()).has_value();
    const std::lock_guard lock(mutex_);
    failing_ = false;
    return found;
  } catch (const Error& e) {
    if (e.code() == Code::kDeadlineExceeded || e.code() == Code::kCancelled) return false;
    failure = e.what();
  } catch (const std::exception& e) {
    failure = e.what();
  }
  const std::lock_guard lock(mutex_);
  tell(failure, digest);
  return false;
}

void LookUps::tell(const std::string& failure, const Digest& digest) {
  if (!std::exchange(failing_, true))
    log_.warn("blobs can't be searched on the network", {{"digest", digest.to_string()}, {"error", failure}});
}

void LookUps::remember(const Digest& digest) {
  const Clock::time_point now = Clock::now();
  if (not_found_.size() >= kRemembered) {
    std::erase_if(not_found_, [&](const auto& entry) { return entry.second <= now; });
    if (not_found_.size() >= kRemembered) not_found_.clear();
  }
  not_found_.insert_or_assign(digest, now + kNotAgain);
}

void LookUps::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  for (const auto& [digest, search] : searches_) search->call.cancel();
  changed_.wait(lock, [this] { return searches_.empty(); });
}

}  // namespace ipcs::content
