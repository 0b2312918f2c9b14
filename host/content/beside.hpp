// One task at a time on a thread beside its owner's.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ipcs::content {

// Its thread is made by the first task and ends with the object. One thread owns it.
class Beside {
 public:
  Beside() = default;
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // Runs `there` on the other thread and `here` on this one; returns when both have ended. Throws what they threw, of two
  // that of `there`. Where the system gives no thread, one runs after the other.
  void run(const std::function<void()>& there, const std::function<void()>& here) {
    if (!thread_.joinable() && !start()) {
      there();
      here();
      return;
    }
    std::exception_ptr failure_here;
    {
      const std::lock_guard lock(mutex_);
      task_ = &there;
    }
    changed_.notify_all();
    try {
      here();
    } catch (...) {
      failure_here = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return task_ == nullptr; });
    if (auto failure = std::exchange(failure_, nullptr)) std::rethrow_exception(failure);
    if (failure_here) std::rethrow_exception(failure_here);
  }

 private:
  bool start() noexcept {
    try {
      thread_ = std::thread([this] { work(); });
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stopping_ || task_ != nullptr; });
      if (task_ == nullptr) return;
      const std::function<void()>& task = *task_;
      lock.unlock();
      std::exception_ptr failure;
      try {
        task();
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      failure_ = failure;
      task_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* task_ = nullptr;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ipcs::content
