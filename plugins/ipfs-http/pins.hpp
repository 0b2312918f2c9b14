// Guards' pins: noted before they are made, dropped some time after nobody needs them.
#pragma once

#include "car_batch.hpp"
#include "index.hpp"
#include "kubo/rpc.hpp"

namespace ipcs::ipfs_http {

// How long a pin outlives the MFS entry that makes it needless: Kubo's garbage collection looks at MFS a moment before it
// locks, and one that has looked already must not find the pin gone.
inline constexpr int64_t kPinLinger = 3'000'000'000;  // nanoseconds

int64_t now_ns();

// Pins of one upload. They are released at its end, whichever it is. Movable-from never; one thread at a time.
class HeldPins {
 public:
  HeldPins(Index& index, kubo::Rpc& rpc) : index_(index), rpc_(rpc), store_(index.meta("id")) {}
  HeldPins(const HeldPins&) = delete;
  HeldPins& operator=(const HeldPins&) = delete;
  ~HeldPins() { release(); }

  // Sends a batch under a pin that is noted before; returns the guard that is pinned. [thread-safe]
  ipld::Cid send(const plugin::Call& call, const CarBatch& batch);
  void release() noexcept;

 private:
  Index& index_;
  kubo::Rpc& rpc_;
  const std::string store_;  // its id
  std::mutex mutex_;
  std::vector<ipld::Cid> guards_;
};

}  // namespace ipcs::ipfs_http
