// The order that a crash can't break: note, pin, use, release, drop, forget.
#include "pins.hpp"

#include <chrono>

namespace ipcs::ipfs_http {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ipld::Cid HeldPins::send(const plugin::Call& call, const CarBatch& batch) {
  const ipld::Cid guard = batch.root(store_);
  index_.note_pin(guard);
  {
    const std::lock_guard lock(mutex_);
    guards_.push_back(guard);
  }
  batch.send(call, rpc_, store_);
  return guard;
}

void HeldPins::release() noexcept {
  const std::lock_guard lock(mutex_);
  for (const ipld::Cid& guard : guards_) {
    try {
      index_.release_pin(guard, now_ns() + kPinLinger);
    } catch (const Error&) {
      // The next start releases it.
    }
  }
  guards_.clear();
}

}  // namespace ipcs::ipfs_http
