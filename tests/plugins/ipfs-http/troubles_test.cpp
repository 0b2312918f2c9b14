// Kubo away, back, slow, another one, and collecting garbage at any moment.
#include "world.hpp"

namespace ipcs::ipfs_http::test {

TEST_CASE("no garbage collection takes anything of a blob") {
  World world;
  std::vector<Bytes> blobs;
  for (const size_t size : {0u, 5u, 262'144u, 262'150u, 9'000'000u, 60'000'000u}) {
    const Bytes bytes = some_bytes(size, 100);
    Ingest ingest = world.store->open_ingest(world.call, "key", true, size);
    for (size_t done = 0; done < size; done += 4 << 20) {
      ingest.append(world.call, std::span(bytes).subspan(done, std::min<size_t>(4 << 20, size - done)));
      if (done % (12 << 20) == 0) world.collect_garbage();
    }
    world.collect_garbage();
    ingest.commit(world.call, size, digest_of(bytes), digest_of(bytes));
    world.collect_garbage();
    blobs.push_back(bytes);
  }
  world.open();
  world.collect_garbage();
  for (const Bytes& bytes : blobs) CHECK(world.read(digest_of(bytes)) == bytes);
}

TEST_CASE("no pin is left, and what was removed goes") {
  World world;
  const auto pins = [&] { return world.rpc.client().post(world.own.call(), "pin/ls", {{"type", "recursive"}}).text(world.own.call(), 1 << 20); };
  CHECK(world.eventually([&] { return pins().find("Keys\":{\"") == std::string::npos || pins().size() < 200; }));
  const std::string before = pins();
  const Bytes large = some_bytes(30'000'000, 101), small = some_bytes(1000, 102),
              unfinished = some_bytes(20'000'000, 103);  // made before: pins last for three seconds
  const std::string digest = world.put(large);
  world.put(small);
  world.ingest(unfinished, "left behind");
  CHECK(pins() != before);
  CHECK(world.eventually([&] { return pins() == before; }));
  {
    const BlobReader reader = world.store->open_blob(world.call, digest);
    world.store->remove_blob(world.call, digest);
    std::this_thread::sleep_for(1500ms);
    world.collect_garbage();
    Bytes all(large.size());
    CHECK(reader.read_at(world.call, 0, all) == all.size());
    CHECK(all == large);
  }
  CHECK(world.eventually([&] { return !world.rpc.mfs_stat(world.own.call(), world.path(digest)); }));
  world.collect_garbage();
  CHECK_FALSE(world.rpc.block_has(world.own.call(), Dag(large).root));
}

TEST_CASE("a removal whose entry has gone before holds up nothing") {
  World world;
  const std::string first = world.put(some_bytes(1000, 104)), second = world.put(some_bytes(1000, 105));
  for (const std::string& digest : {first, second}) {
    CHECK(world.kubo.run({"files", "rm", world.path(digest)}) == 0);
    CHECK(world.store->remove_blob(world.call, digest));
  }
  const Repairer::Observer nobody{[](const Difference&) {}, [](const RepairProgress&) {}};
  const auto pending = [&] { return Repairer::of(*world.store)->repair(world.call, true, nobody).pending; };
  CHECK(world.eventually([&] { return pending() == 0; }));
}

TEST_CASE("Kubo goes away and comes back") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes first = some_bytes(500'000, 110), second = some_bytes(600'000, 111), third = some_bytes(20'000'000, 112);
  const std::string digest = world.put(first);
  world.put(second);
  kubo.kill();

  CHECK(world.store->stat_blob(world.call, digest)->size == first.size());
  Ingest ingest = world.ingest(third);  // what arrives is kept
  const auto begin = std::chrono::steady_clock::now();
  const Error refused = error_of([&] { ingest.commit(world.call, third.size(), digest_of(third), digest_of(third)); });
  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK(std::string(refused.what()).find(kubo.address()) != std::string::npos);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(third)));
  CHECK(world.store->remove_blob(world.call, digest_of(second)));
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(second)));

  kubo.start();
  ingest.commit(world.call, third.size(), digest_of(third), digest_of(third));
  CHECK(world.read(digest_of(third)) == third);
  CHECK(world.read(digest) == first);
  world.open();
  CHECK(world.eventually([&] { return !world.rpc.mfs_stat(world.own.call(), world.path(digest_of(second))); }));
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(second)));
  CHECK(world.rpc.mfs_stat(world.own.call(), world.path(digest)));
}

TEST_CASE("a store opens without Kubo if it was used before") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(300'000, 120);
  const std::string digest = world.put(bytes);
  const std::string id = world.store->info(world.call).id;
  world.store.reset();
  const std::string config = world.config();
  kubo.kill();
  const ipcs_plugin* plugin = ipcs::test::load_plugin(IPCS_PLUGIN_DIR "/ipfs-http.so");
  const auto open = [&](const std::string& json) {
    ipcs_status status{};
    ipcs_store* raw = nullptr;
    detail::check(plugin->open(world.host.table(), world.call.abi(), to_abi(json), 0, &raw, &status), status);
    world.store.emplace(plugin, raw, nullptr);
  };
  open(config);
  CHECK(world.store->info(world.call).id == id);
  CHECK(world.store->info(world.call).location.find("not reachable") != std::string::npos);
  CHECK(world.store->stat_blob(world.call, digest));
  CHECK(error_of([&] { world.read(digest); }).code() == Code::kFailedPrecondition);
  kubo.start();
  CHECK(world.read(digest) == bytes);
  world.store.reset();

  std::string fresh = config;
  fresh.replace(fresh.find("/state\""), 7, "/other\"");
  kubo.kill();
  const Error error = error_of([&] { open(fresh); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find("the first start") != std::string::npos);
}

TEST_CASE("another Kubo than the state directory describes is refused") {
  World world;
  const Bytes bytes = some_bytes(1000, 130);
  world.put(bytes);
  world.store.reset();
  CHECK(world.kubo.run({"files", "rm", "-r", world.prefix}) == 0);
  const Error error = error_of([&] { world.open(); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find("give the right Kubo back") != std::string::npos);
}

TEST_CASE("two stores do not share a state directory") {
  World world;
  const ipcs_plugin* plugin = ipcs::test::load_plugin(IPCS_PLUGIN_DIR "/ipfs-http.so");
  ipcs_status status{};
  ipcs_store* raw = nullptr;
  const std::string json = world.config();
  CHECK(plugin->open(world.host.table(), world.call.abi(), to_abi(json), 0, &raw, &status) == IPCS_FAILED_PRECONDITION);
}

TEST_CASE("a Kubo that stands still costs no more than the call's time") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(400'000, 140), more = some_bytes(700'000, 141);
  const std::string digest = world.put(bytes);
  world.open();  // nothing of it is in memory
  Ingest ingest = world.ingest(more);
  kubo.stop_for_a_while();
  const auto begin = std::chrono::steady_clock::now();
  {
    const Call brief(Call::Clock::now() + 300ms);
    CHECK(error_of([&] { ingest.commit(brief, more.size(), digest_of(more), digest_of(more)); }).code() == Code::kDeadlineExceeded);
  }
  {
    const Call brief(Call::Clock::now() + 300ms);
    CHECK(error_of([&] { world.store->open_blob(brief, digest); }).code() == Code::kDeadlineExceeded);
  }
  CHECK(world.store->stat_blob(world.call, digest));
  CHECK(std::chrono::steady_clock::now() - begin < 3s);
  kubo.go_on();
  ingest.commit(world.call, more.size(), digest_of(more), digest_of(more));
  CHECK(world.read(digest_of(more)) == more);
  CHECK(world.read(digest) == bytes);
}

}  // namespace ipcs::ipfs_http::test
