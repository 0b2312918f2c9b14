// Searches of the network: when there is one, how many, and how long anybody waits.
#include <thread>

#include "host/content/captured.hpp"
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
      gate.pass();  // while it is closed, deaf to deadline and cancellation
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
  ~NetworkWorld() {
    gate.open();
    content.reset();  // it waits for searches, which use what is below
    memory->set_on_call({});
  }

  std::atomic<int> searches{0};
  std::atomic<bool> hang{false};
  Gate gate;
};

// Opens a gate at the end of a test, also of one that fails.
struct Opened {
  Gate& gate;
  ~Opened() { gate.open(); }
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

TEST_CASE("a search that ignores its time holds nobody up") {
  NetworkWorld w(500ms);
  w.gate.close();
  const auto seconds_of = [&](const Digest& digest) {
    const auto begun = std::chrono::steady_clock::now();
    CHECK_FALSE(w.content->look_up(w.call, digest));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };
  for (int i = 0; i < 3; ++i) {
    const Digest digest = digest_of(std::to_string(i));
    REQUIRE(w.content->may_be_found(digest));
    const double first = seconds_of(digest);
    CHECK((first >= 0.5 && first < 5));
    CHECK_FALSE(w.content->may_be_found(digest));
    CHECK(seconds_of(digest) < 0.5);  // as long as it hangs no other begins, and nobody waits for it
    CHECK(w.searches == i + 1);
  }
  const Call brief(std::chrono::steady_clock::now() + 10ms);
  CHECK_FALSE(w.content->look_up(brief, kFar));
  CHECK(w.content->may_be_found(kFar));  // its time is not over, only that of the caller
  w.gate.open();
  CHECK(w.content->look_up(w.call, kFar));
}

TEST_CASE("searches that hang are bounded in number, and one line says so") {
  NetworkWorld w;
  w.gate.close();
  Captured log(w.dir);
  content::LookUps look_ups(Locator::of(*w.store), 1ms, log::Log());
  const Opened opened{w.gate};
  const int most = content::LookUps::kMostSearches;
  for (int i = 0; i < most + 20; ++i) CHECK_FALSE(look_ups.find(w.call, digest_of(std::to_string(i))));
  REQUIRE(w.gate.wait_for(most));
  CHECK(w.searches == most);
  CHECK(log.with({"too many searches", "searches=256"}).size() == 1);
  w.gate.open();
  bool found = false;
  for (int i = 0; i < 5000 && !found; ++i) {
    std::this_thread::sleep_for(1ms);
    found = look_ups.find(w.call, kFar) || w.memory->has(kFar.to_string());
  }
  CHECK(found);
}

TEST_CASE("the end cancels searches") {
  NetworkWorld w(1h);
  w.hang = true;
  std::atomic<bool> found{false};
  std::thread asking([&] {
    const Call call;
    found = w.content->look_up(call, kFar);
  });
  REQUIRE(w.gate.wait_for(1));
  w.content->stop_look_ups();
  asking.join();
  CHECK_FALSE(found);
  const int before = w.searches;
  CHECK_FALSE(w.content->look_up(w.call, digest_of("another")));
  CHECK(w.searches == before);
}

TEST_CASE("no search without a network, or with no time for one") {
  World w;
  CHECK_FALSE(w.content->may_be_found(kFar));
  NetworkWorld off(0ms);
  CHECK_FALSE(off.content->may_be_found(kFar));
}
