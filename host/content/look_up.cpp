// One search for a digest at a time; everybody else waits for its end.
#include "content/look_up.hpp"

#include <algorithm>

namespace ipcs::content {

using oci::Digest;

bool LookUps::worthwhile(const Digest& digest) const {
  if (!locator_ || timeout_.count() <= 0) return false;
  const std::lock_guard lock(mutex_);
  const auto known = not_found_.find(digest);
  return known == not_found_.end() || known->second <= Clock::now();
}

bool LookUps::find(const Call& call, const Digest& digest) {
  const Clock::time_point asked(std::chrono::nanoseconds(call.abi()->deadline_ns));
  const Clock::time_point deadline = std::min(asked, Clock::now() + timeout_);
  std::unique_lock lock(mutex_);
  if (const auto running = searches_.find(digest); running != searches_.end()) {
    const std::shared_ptr<Search> other = running->second;
    changed_.wait_until(lock, deadline, [&] { return other->over; });
    return other->found;
  }
  const auto mine = std::make_shared<Search>();
  searches_.emplace(digest, mine);
  lock.unlock();
  const bool found = search(call, deadline, digest);
  lock.lock();
  searches_.erase(digest);
  mine->over = true;
  mine->found = found;
  if (!found) remember(digest);
  changed_.notify_all();
  return found;
}

bool LookUps::search(const Call& call, Clock::time_point deadline, const Digest& digest) {
  // Not the caller's own call: others wait for the result, and he may go away.
  Call shared(deadline);
  shared.set_trace(call.abi()->trace_id, call.abi()->span_id);
  std::string failure;
  try {
    const bool found = locator_->look_up(shared, digest.to_string()).has_value();
    const std::lock_guard lock(mutex_);
    failing_ = false;
    return found;
  } catch (const Error& e) {
    if (e.code() == Code::kDeadlineExceeded || e.code() == Code::kCancelled) return false;
    failure = e.what();
  }
  const std::lock_guard lock(mutex_);
  if (!std::exchange(failing_, true))
    log_.warn("blobs can't be searched on the network", {{"digest", digest.to_string()}, {"error", failure}});
  return false;
}

void LookUps::remember(const Digest& digest) {
  const Clock::time_point now = Clock::now();
  if (not_found_.size() >= kRemembered) {
    std::erase_if(not_found_, [&](const auto& entry) { return entry.second <= now; });
    if (not_found_.size() >= kRemembered) not_found_.clear();
  }
  not_found_.insert_or_assign(digest, now + kNotAgain);
}

}  // namespace ipcs::content
