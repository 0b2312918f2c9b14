// Threads for work that may wait: as many as there is work, kept a while for the next.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace ipcs::service {

// One lane of the server. [thread-safe]. A task never waits for another task as long as fewer than `max_threads` run, so a
// task that hangs costs a thread and delays nobody. Where the system gives no more threads, tasks wait for those there are.
class WorkerPool {
 public:
  // Starts a thread of its own that runs the function; throws std::system_error when the system has none.
  using StartThread = std::function<void(std::function<void()>)>;

  explicit WorkerPool(size_t max_threads, StartThread start_thread = detached_thread)
      : max_threads_(max_threads), start_thread_(std::move(start_thread)) {}
  // Waits for all tasks.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs `task` on a thread of the pool; at once, on the caller's, when there is none and none can be started. The task
  // must not throw.
  void submit(std::function<void()> task);

 private:
  static void detached_thread(std::function<void()> body);
  void work();
  // Runs what is queued on the caller's thread as long as the pool has none.
  void run_without_threads();

  const size_t max_threads_;
  const StartThread start_thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  size_t threads_ = 0;
  size_t idle_ = 0;
  bool stopping_ = false;
};

}  // namespace ipcs::service
