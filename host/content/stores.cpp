// A table of what the current store lacks decides where a blob is looked for.
#include "content/stores.hpp"

#include <fmt/format.h>

namespace ipcs::content {

using oci::Digest;

bool Stores::local(const Call& call) const {
  return current_.info(call).local && (previous_ == nullptr || previous_->info(call).local);
}

Stores::State Stores::state(const Digest& digest) const {
  if (previous_ == nullptr) return State::kCurrent;
  const std::lock_guard lock(mutex_);
  const auto found = lacking_.find(digest);
  if (found == lacking_.end()) return State::kCurrent;
  return found->second.damaged ? State::kDamaged : State::kPrevious;
}

std::optional<Entry> Stores::stat(const Call& call, const Digest& digest) const {
  switch (state(digest)) {
    case State::kPrevious:
      return previous_->stat_blob(call, digest.to_string());
    case State::kDamaged:
      return std::nullopt;
    case State::kCurrent:
      break;
  }
  return current_.stat_blob(call, digest.to_string());
}

Stores::Opened Stores::open(const Call& call, const Digest& digest) const {
  switch (state(digest)) {
    case State::kPrevious:
      return {previous_->open_blob(call, digest.to_string()), Place::kPrevious};
    case State::kDamaged:
      throw Error(Code::kNotFound, fmt::format("content {}: not found", digest.to_string()));
    case State::kCurrent:
      break;
  }
  return {current_.open_blob(call, digest.to_string()), Place::kCurrent};
}

void Stores::remove(const Call& call, const Digest& digest) {
  no_longer_lacking(call, digest);
  current_.remove_blob(call, digest.to_string());
}

void Stores::quarantine(const Call& call, const Digest& digest, Place place) {
  if (place == Place::kCurrent) {
    current_.quarantine_blob(call, digest.to_string());
    return;
  }
  const std::lock_guard lock(mutex_);
  const auto found = lacking_.find(digest);
  if (found != lacking_.end()) found->second.damaged = true;
}

void Stores::no_longer_lacking(const Call& call, const Digest& digest) noexcept {
  if (previous_ == nullptr) return;
  bool resting = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = lacking_.find(digest);
    if (found == lacking_.end()) return;
    resting = found->second.copy == Copy::kResting;
    lacking_bytes_ -= found->second.size;
    lacking_.erase(found);
  }
  if (!resting) return;
  try {
    current_.discard_ingest(call, copy_key(digest));
  } catch (const std::exception&) {
    // The next start finds bytes of a copy that nobody wants, and drops them.
  }
}

void Stores::lack(const Sizes& blobs) {
  const std::lock_guard lock(mutex_);
  for (const auto& [digest, size] : blobs) {
    if (lacking_.emplace(digest, Blob{size}).second) lacking_bytes_ += size;
  }
}

Amount Stores::lacking() const {
  const std::lock_guard lock(mutex_);
  return {lacking_.size(), lacking_bytes_};
}

bool Stores::lacks(const Digest& digest) const {
  if (previous_ == nullptr) return false;
  const std::lock_guard lock(mutex_);
  return lacking_.contains(digest);
}

std::optional<Stores::Sizes::value_type> Stores::next_lacking(const std::optional<Digest>& after) const {
  const std::lock_guard lock(mutex_);
  const auto next = after ? lacking_.upper_bound(*after) : lacking_.begin();
  if (next == lacking_.end()) return std::nullopt;
  return Sizes::value_type(next->first, next->second.size);
}

std::string Stores::copy_key(const Digest& digest) {
  // A key is too short for a digest of 512 bits.
  return "copy-" + std::string(Digest::of(digest.to_string()).hex().substr(0, 32));
}

std::optional<Ingest> Stores::begin_copy(const Call& call, const Digest& digest) {
  uint64_t size = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = lacking_.find(digest);
    if (found == lacking_.end()) return std::nullopt;
    found->second.copy = Copy::kOpen;
    size = found->second.size;
  }
  try {
    return current_.open_ingest(call, copy_key(digest), true, size);
  } catch (...) {
    end_copy(call, digest, true);
    throw;
  }
}

void Stores::end_copy(const Call& call, const Digest& digest, bool keep) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = lacking_.find(digest);
    if (found == lacking_.end()) keep = false;
    if (found != lacking_.end()) found->second.copy = keep ? Copy::kResting : Copy::kNone;
  }
  if (!keep) current_.discard_ingest(call, copy_key(digest));
}

void Stores::copy_begun(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = lacking_.find(digest);
  if (found != lacking_.end()) found->second.copy = Copy::kResting;
}

}  // namespace ipcs::content
