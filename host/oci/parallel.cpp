// Threads that live for one piece of work.
#include "oci/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ipcs::oci {

void run_parallel(size_t count, size_t parallel, const Call& call,
                  const std::function<void(size_t, const Call&)>& task) {
  std::stop_source stop;
  const std::stop_callback forward(call.stop, [&stop] { stop.request_stop(); });
  const Call inner{call.deadline, stop.get_token()};
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (size_t i; (i = next.fetch_add(1)) < count;) {
        inner.check();
        task(i, inner);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      stop.request_stop();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (size_t t = 1; t < std::min(parallel, count); ++t) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace ipcs::oci
