// Waiting that ends when it is told to.
#include "oci/call.hpp"

#include <condition_variable>
#include <mutex>

#include "ipcs/error.hpp"

namespace ipcs::oci {

void Call::check() const {
  if (stop.stop_requested()) throw Error(Code::kCancelled, "cancelled");
  if (Clock::now() >= deadline) throw Error(Code::kDeadlineExceeded, "the time allowed is over");
}

void Call::sleep(Clock::duration time) const {
  const Clock::time_point now = Clock::now();
  const Clock::time_point end = time < deadline - now ? now + time : deadline;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_until(lock, stop, end, [] { return false; });
  check();
}

}  // namespace ipcs::oci
