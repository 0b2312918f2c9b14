// Many threads on one catalog.
#include <atomic>
#include <future>
#include <latch>
#include <random>
#include <thread>

#include "host/catalog/fixture.hpp"

namespace ipcs::catalog::testing {
namespace {

using namespace std::chrono_literals;

TEST_CASE("eight threads hammer one catalog") {
  const TempDir dir;
  constexpr int kThreads = 8, kShared = 16, kRounds = 400;
  {
    const auto catalog = Catalog::open(dir / "c", {{}, 16});
    std::atomic<int> wrong{0};
    const auto expect = [&](bool condition) { wrong += !condition; };
    const auto hammer = [&](int id) {
      std::mt19937 random(static_cast<uint32_t>(id));
      const std::string client = "client-" + std::to_string(id);
      for (int round = 0; round < kRounds; ++round) {
        const Digest shared = digest(static_cast<int>(random() % kShared));
        const Digest own = digest(1000 + id);
        switch (random() % 6) {
          case 0:
            catalog->claim(client, shared, 1, round, nullptr);
            expect(catalog->find(client, shared).has_value());
            break;
          case 1:
            catalog->unclaim(client, shared);
            expect(!catalog->find(client, shared));
            break;
          case 2:
            catalog->pin(own, 1, round, "");
            expect(catalog->pinned(own) && catalog->find_any(client, own).has_value());
            break;
          case 3:
            catalog->unpin(own);
            expect(!catalog->pinned(own));
            break;
          case 4:
            catalog->in_transaction([&] {
              catalog->claim(client, own, 1, round, nullptr);
              expect(catalog->find(client, own).has_value());
              catalog->update_labels(client, own, {true, {{"round", std::to_string(round)}}}, round);
            });
            expect(catalog->find(client, own)->labels.at("round") == std::to_string(round));
            catalog->unclaim(client, own);
            break;
          default:
            catalog->put_ingest({"key-" + std::to_string(id), client, "ref", "", 0, round, round});
            expect(catalog->find_ingest(client, "ref")->started_ns == round);
            expect(catalog->list("", "", 1000).size() <= kShared + kThreads);
            expect(catalog->totals().ingests >= 1);
        }
      }
      for (int i = 0; i < kShared; ++i) catalog->unclaim(client, digest(i));
      catalog->unpin(digest(1000 + id));
    };
    std::vector<std::thread> threads;
    for (int id = 0; id < kThreads; ++id) threads.emplace_back(hammer, id);
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(catalog->totals().blobs == 0);
    CHECK(catalog->totals().claims == 0);
  }
  check_file(dir / "c");
}

TEST_CASE("of all who drop a hold at once, exactly one is told to remove the bytes") {
  const TempDir dir;
  const auto catalog = Catalog::open(dir / "c");
  for (int round = 0; round < 50; ++round) {
    for (const char* client : {"a", "b", "c"}) catalog->claim(client, digest(1), 1, 1, nullptr);
    std::atomic<int> told{0};
    std::latch start(3);
    std::vector<std::thread> threads;
    for (const char* client : {"a", "b", "c"}) {
      threads.emplace_back([&, client] {
        start.arrive_and_wait();
        told += catalog->unclaim(client, digest(1));
      });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(told == 1);
  }
}

TEST_CASE("reads and repeated claims wait for no transaction and see the state before it") {
  const TempDir dir;
  const auto catalog = Catalog::open(dir / "c");
  catalog->claim("a", digest(1), 1, 1, nullptr);
  std::promise<void> inside, leave;
  std::thread writer([&] {
    catalog->in_transaction([&] {
      catalog->unclaim("a", digest(1));
      catalog->claim("a", digest(2), 1, 1, nullptr);
      inside.set_value();
      leave.get_future().wait();
    });
  });
  inside.get_future().wait();
  auto reads = std::async(std::launch::async, [&] {
    catalog->claim("a", digest(1), 1, 9, nullptr);
    return catalog->find("a", digest(1)).has_value() && !catalog->find_any("", digest(2)) &&
           catalog->list("a", "", 10).size() == 1 && catalog->totals().blobs == 1 && catalog->pins("", 10).empty() &&
           catalog->ingests("").empty() && catalog->store_id().empty();
  });
  const bool in_time = reads.wait_for(10s) == std::future_status::ready;
  leave.set_value();
  writer.join();
  CHECK(in_time);
  CHECK(reads.get());
  CHECK_FALSE(catalog->find("a", digest(1)));
  CHECK(catalog->find("a", digest(2)));
}

}  // namespace
}  // namespace ipcs::catalog::testing
