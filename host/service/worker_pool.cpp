// Detached threads that the pool counts instead of owning: an idle one ends by itself.
#include "service/worker_pool.hpp"

#include <chrono>
#include <system_error>
#include <thread>

namespace ipcs::service {
namespace {

constexpr auto kIdleTime = std::chrono::seconds(10);

}  // namespace

void WorkerPool::submit(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  tasks_.push_back(std::move(task));
  if (idle_ >= tasks_.size() || threads_ == max_threads_) {
    lock.unlock();
    changed_.notify_one();
    return;
  }
  ++threads_;
  lock.unlock();
  try {
    start_thread_([this] { work(); });
  } catch (const std::system_error&) {
    lock.lock();
    --threads_;
    lock.unlock();
    changed_.notify_all();  // a thread that has just become idle takes it, or the destructor goes on
    run_without_threads();
  }
}

void WorkerPool::detached_thread(std::function<void()> body) { std::thread(std::move(body)).detach(); }

void WorkerPool::run_without_threads() {
  std::unique_lock lock(mutex_);
  while (threads_ == 0 && !tasks_.empty()) {
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (tasks_.empty()) {
      ++idle_;
      const bool woken = changed_.wait_for(lock, kIdleTime, [this] { return stopping_ || !tasks_.empty(); });
      --idle_;
      if (!woken || tasks_.empty()) break;
    }
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
  --threads_;
  // Under the mutex: the destructor may run as soon as it is free.
  changed_.notify_all();
}

WorkerPool::~WorkerPool() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return threads_ == 0; });
}

}  // namespace ipcs::service
