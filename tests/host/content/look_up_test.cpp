// Searches of the network: when there is one, how many, and how long anybody waits.
#include <thread>

#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using namespace std::chrono_literals;
using oci::Digest;

namespace {

const Digest kFar = digest_of("a root far away");

struct NetworkWorld : World {
  explicit NetworkWorld(std::chrono::milliseconds timeout = 10s) {
    memory->networked = true;
    memory->network[kFar.to_string()] = bytes_of("far");
    memory->set_on_call([this](const char* function, const plugin::Call& asked) {
      if (function != std::string("look_up")) return;
      ++searches;
      gate.pass();
      if (hang) {
        while (true) {
          std::this_thread::sleep_for(1ms);
          asked.check();
        }
      }
    });
    look_up_timeout = timeout;
    start();
  }
  ~NetworkWorld() { memory->set_on_call({}); }

  std::atomic<int> searches{0};
  std::atomic<bool> hang{false};
  Gate gate;
};

}  // namespace

TEST_CASE("a blob of the network is found, and then it is like any other") {
  NetworkWorld w;
  CHECK(w.info_code(w.a, kFar) == Code::kNotFound);  // answers from local state
  REQUIRE(w.content->may_be_found(kFar));
  CHECK(w.content->look_up(w.call, kFar));
  CHECK(w.content->info(w.call, w.a, kFar).size == 3);
  CHECK(w.listed(w.a) == names({kFar}));
  CHECK(w.read(kFar) == "far");
}

TEST_CASE("what was not found is not searched again for a while") {
  NetworkWorld w;
  const Digest nowhere = digest_of("nowhere");
  CHECK_FALSE(w.content->look_up(w.call, nowhere));
  CHECK_FALSE(w.content->may_be_found(nowhere));
  CHECK(w.content->may_be_found(kFar));
  for (int i = 0; i < 5000; ++i) w.content->look_up(w.call, digest_of(std::to_string(i)));  // memory stays bounded
  CHECK(w.searches == 5001);
}

TEST_CASE("who asks at the same time shares a search") {
  NetworkWorld w;
  w.gate.close();
  std::vector<std::thread> threads;
  std::atomic<int> found{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Call call;
      if (w.content->look_up(call, kFar)) ++found;
    });
  }
  REQUIRE(w.gate.wait_for(1));
  std::this_thread::sleep_for(50ms);
  w.gate.open();
  for (std::thread& thread : threads) thread.join();
  CHECK(found == 8);
  CHECK(w.searches < 8);  // one, unless a thread came late; then it searched for what is there
}

TEST_CASE("a search ends with its time") {
  NetworkWorld w(50ms);
  w.hang = true;
  const auto begun = std::chrono::steady_clock::now();
  CHECK_FALSE(w.content->look_up(w.call, kFar));
  CHECK(std::chrono::steady_clock::now() - begun < 5s);
  CHECK_FALSE(w.content->may_be_found(kFar));
}

TEST_CASE("no search without a network, or with no time for one") {
  World w;
  CHECK_FALSE(w.content->may_be_found(kFar));
  NetworkWorld off(0ms);
  CHECK_FALSE(off.content->may_be_found(kFar));
}
