// Two tasks at the same time, and what becomes of their failures.
#include "content/beside.hpp"

#include <catch2/catch.hpp>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

using ipcs::content::Beside;

namespace {

std::string failure_of(Beside& beside, const std::function<void()>& there, const std::function<void()>& here) {
  try {
    beside.run(there, here);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("both tasks run at the same time, on two threads, again and again") {
  Beside beside;
  for (int round = 0; round < 100; ++round) {
    std::promise<void> here_runs, there_runs;
    std::thread::id there;
    beside.run(
        [&] {
          there = std::this_thread::get_id();
          there_runs.set_value();
          here_runs.get_future().wait();
        },
        [&] {
          here_runs.set_value();
          there_runs.get_future().wait();
        });
    CHECK(there != std::this_thread::get_id());
  }
}

TEST_CASE("a failure of either comes out once both have ended; the next run is not touched by it") {
  Beside beside;
  bool ended = false;
  const auto fails = [](const char* what) { return [what] { throw std::runtime_error(what); }; };
  CHECK(failure_of(beside, fails("there"), [&] { ended = true; }) == "there");
  CHECK(ended);
  ended = false;
  CHECK(failure_of(beside, [&] { ended = true; }, fails("here")) == "here");
  CHECK(ended);
  CHECK(failure_of(beside, fails("there"), fails("here")) == "there");
  CHECK(failure_of(beside, [] {}, [] {}).empty());
}
