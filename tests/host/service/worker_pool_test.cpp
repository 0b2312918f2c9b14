// A lane's threads: hanging tasks, and a system that gives no more threads.
#include "service/worker_pool.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using ipcs::service::WorkerPool;

namespace {

// Gives `threads` of them, then none.
WorkerPool::StartThread scarce(int threads) {
  return [left = std::make_shared<std::atomic<int>>(threads)](std::function<void()> body) {
    if ((*left)-- <= 0) throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    std::thread(std::move(body)).detach();
  };
}

}  // namespace

TEST_CASE("a task that hangs delays no other") {
  WorkerPool pool(8);
  std::promise<void> go, done;
  pool.submit([gone = go.get_future().share()] { gone.wait(); });
  pool.submit([&] { done.set_value(); });
  CHECK(done.get_future().wait_for(10s) == std::future_status::ready);
  go.set_value();
}

TEST_CASE("without a further thread a task waits for those there are") {
  WorkerPool pool(8, scarce(1));
  std::promise<void> go;
  std::promise<std::thread::id> first, second;
  pool.submit([&, gone = go.get_future().share()] {
    first.set_value(std::this_thread::get_id());
    gone.wait();
  });
  pool.submit([&] { second.set_value(std::this_thread::get_id()); });
  auto ran = second.get_future();
  CHECK(ran.wait_for(100ms) == std::future_status::timeout);
  go.set_value();
  REQUIRE(ran.wait_for(10s) == std::future_status::ready);
  CHECK(ran.get() == first.get_future().get());
}

TEST_CASE("without any thread a task runs on the caller's") {
  WorkerPool pool(8, scarce(0));
  std::thread::id ran;
  pool.submit([&] { ran = std::this_thread::get_id(); });
  CHECK(ran == std::this_thread::get_id());
}

TEST_CASE("no task is lost while threads come and fail") {
  std::atomic<int> ran{0};
  {
    // Every other thread can't be started.
    WorkerPool pool(64, [count = std::make_shared<std::atomic<int>>(0)](std::function<void()> body) {
      if ((*count)++ % 2 == 1) throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      std::thread(std::move(body)).detach();
    });
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] {
        for (int n = 0; n < 250; ++n) pool.submit([&] { ++ran; });
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
  CHECK(ran == 1000);
}
