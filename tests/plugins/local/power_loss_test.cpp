// Power fails before each single step of writing, committing, removing and quarantining: no acknowledged commit is lost
// and no wrong byte is served.
#include <catch2/catch.hpp>
#include <functional>
#include <set>

#include "fake_store.hpp"

namespace ipcs::local::test {
namespace {

// What the store has promised. A digest that is in neither set may be there or not.
struct Promises {
  std::map<std::string, Bytes> there;
  std::set<std::string> not_there;
};

// Runs one change; the promise is open while it runs.
void change(Promises& promises, const std::string& digest, const Bytes* becomes, const std::function<void()>& body) {
  promises.there.erase(digest);
  promises.not_there.erase(digest);
  body();
  if (becomes != nullptr) promises.there[digest] = *becomes;
}

void put(Promises& promises, FakeStore& store, const std::string& key, const Bytes& bytes,
         oci::Algorithm algorithm = oci::Algorithm::kSha256) {
  const std::string digest = digest_of(bytes, algorithm);
  const bool promised = promises.there.contains(digest);
  // A commit of what is promised already does not open the promise again.
  if (promised) return store.put(key, bytes, algorithm);
  change(promises, digest, &bytes, [&] { store.put(key, bytes, algorithm); });
}

// The life of a store, in one go.
void live(FakeDisk& disk, const Config& config, Promises& promises) {
  const Bytes a = some_bytes(3000, 1);
  const Bytes b = some_bytes(100, 2);
  const Bytes c = some_bytes(5000, 3);
  const std::string b512 = digest_of(b, oci::Algorithm::kSha512);
  {
    FakeStore store(disk, config);
    put(promises, store, "one", a);
    put(promises, store, "two", b, oci::Algorithm::kSha512);  // makes a directory
    put(promises, store, "three", a);                         // is there already
    store.ingest("left-open", c)->truncate(store.call(), 2000);
    change(promises, digest_of(a), nullptr, [&] { store->remove_blob(store.call(), digest_of(a)); });
    change(promises, b512, nullptr, [&] { store->quarantine_blob(store.call(), b512); });
    promises.not_there.insert(b512);
    put(promises, store, "four", a);
    put(promises, store, "five", b, oci::Algorithm::kSha512);
    store.ingest("dropped", c);
    store->discard_ingest(store.call(), "dropped");
  }
  FakeStore store(disk, config);
  auto resumed = store->open_ingest(store.call(), "left-open", false, 0);
  resumed->append(store.call(), std::span(c).subspan(2000));
  const std::string digest = digest_of(c);
  change(promises, digest, &c, [&] { resumed->commit(store.call(), c.size(), digest, digest); });
}

void require_promises(FakeStore& store, const Promises& promises) {
  for (const auto& [digest, bytes] : promises.there) {
    INFO(digest);
    REQUIRE(store.has(digest));
    REQUIRE(store.read(digest) == bytes);
  }
  for (const std::string& digest : promises.not_there) {
    INFO(digest);
    REQUIRE_FALSE(store.has(digest));
  }
  for (const plugin::Entry& entry : store.blobs()) {
    const auto algorithm = oci::Digest::parse(entry.name).algorithm();
    INFO(entry.name);
    REQUIRE(digest_of(store.read(entry.name), algorithm) == entry.name);
  }
}

// What a daemon does with a store that it finds: resumes what is there, writes more, and nothing goes wrong.
void require_usable(FakeStore& store) {
  for (const plugin::Entry& entry : store.ingests()) {
    const auto ingest = store->open_ingest(store.call(), entry.name, true, 0);
    ingest->truncate(store.call(), 0);
    ingest->append(store.call(), some_bytes(10, 7));  // were it a blob's second name, the blob would be wrong now
    REQUIRE(ingest->size() == 10);
  }
  const Bytes fresh = some_bytes(700, 99);
  store.put("fresh", fresh);
  REQUIRE(store.read(digest_of(fresh)) == fresh);
}

}  // namespace

TEST_CASE("power loss at every step") {
  const Config config = GENERATE(plain(), journaled());
  const Loss loss = GENERATE(Loss::kNone, Loss::kEverything, Loss::kContents, Loss::kSome);
  const uint32_t seeds = loss == Loss::kSome ? 20 : 1;
  for (uint32_t seed = 0; seed < seeds; ++seed) {
    size_t step = 0;
    for (bool finished = false; !finished; ++step) {
      FakeDisk disk;
      Promises promises;
      disk.fail_at(step);
      try {
        live(disk, config, promises);
        finished = true;
      } catch (const Error& error) {
        INFO("step " << step << ": " << error.what());
        REQUIRE(disk.is_off());
      }
      INFO("loss " << static_cast<int>(loss) << ", seed " << seed << ", step " << step);
      disk.restart(loss, seed);
      std::vector<plugin::Entry> shown;
      {
        FakeStore store(disk, config);
        require_promises(store, promises);
        shown = store.blobs();
        disk.fail();
      }
      // What a store shows is durable, also when the one before was killed between a name and its sync.
      disk.restart(Loss::kEverything, 0);
      FakeStore store(disk, config);
      for (const plugin::Entry& entry : shown) REQUIRE(store.has(entry.name));
      require_usable(store);
      require_promises(store, promises);
    }
    CHECK(step > 80);
  }
}

TEST_CASE("power loss while many commit") {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    FakeDisk disk;
    disk.directory_sync_delay_ms = 1;
    std::mutex mutex;
    std::map<std::string, Bytes> acknowledged;
    const Config config = seed % 3 == 0 ? plain() : journaled();
    {
      FakeStore store(disk, config);
      disk.fail_at(20 + seed * 5);
      std::vector<std::thread> threads;
      for (uint32_t t = 0; t < 6; ++t) {
        threads.emplace_back([&, t] {
          try {
            for (uint32_t i = 0; i < 20; ++i) {
              const Bytes bytes = some_bytes(200, 1000 + i * 3 + t / 2);  // two threads with the same blobs each
              store.put("key-" + std::to_string(t) + "-" + std::to_string(i), bytes);
              const std::lock_guard lock(mutex);
              acknowledged[digest_of(bytes)] = bytes;
            }
          } catch (const Error&) {
            // the power is off
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
    REQUIRE(disk.is_off());
    disk.restart(seed % 2 == 0 ? Loss::kEverything : Loss::kSome, seed);
    FakeStore store(disk, config);
    require_promises(store, {acknowledged, {}});
  }
}

TEST_CASE("without fsync nothing is synced") {
  FakeDisk disk;
  FakeStore store(disk, {.path = "/fake", .fsync = false});
  store.put("one", some_bytes(100, 1));
  CHECK(disk.file_syncs == 0);
  CHECK(disk.directory_syncs == 0);
}

}  // namespace ipcs::local::test
