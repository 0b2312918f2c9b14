// Blobs under all kinds of digest, proofs, claims, and the extensions.
#include <atomic>

#include "world.hpp"

namespace ipcs::ipfs_http::test {

TEST_CASE("a blob and its p2p digest are two names of one DAG, which is Kubo's own") {
  World world;
  const Bytes bytes = some_bytes(1'000'003, 1);
  const Dag dag(bytes);
  const std::string digest = world.put(bytes);
  const uint64_t used = world.store->info(world.call).used_bytes;
  world.put_as(bytes, dag.p2p());
  CHECK(world.store->info(world.call).used_bytes == used);
  CHECK(world.store->stat_blob(world.call, dag.p2p())->size == bytes.size());
  CHECK(world.read(dag.p2p()) == bytes);
  CHECK(world.read(digest) == bytes);
  CHECK(error_of([&] { world.put_as(bytes, dag.p2p()); }).code() == Code::kAlreadyExists);
  CHECK(Locator::of(*world.store)->cid_of(world.call, digest) == dag.root.to_string());
  CHECK(world.rpc.mfs_stat(world.own.call(), world.path(digest))->cid == dag.root);
  world.store->remove_blob(world.call, digest);
  CHECK(world.eventually([&] { return !world.rpc.mfs_stat(world.own.call(), world.path(digest)); }));
  world.collect_garbage();
  world.open();
  CHECK(world.read(dag.p2p()) == bytes);
}

TEST_CASE("a p2p digest of another layout is proved by its root") {
  World world;
  const Bytes bytes = some_bytes(3'000'000, 2);
  ipld::Profile profile = ipld::named_profile("unixfs-v1-2025");
  profile.chunker = "size-100000";
  Dag foreign(bytes, profile);
  const Error unknown = error_of([&] { world.put_as(bytes, foreign.p2p()); });
  CHECK(unknown.code() == Code::kFailedPrecondition);
  world.store->discard_ingest(world.call, "key");

  world.give_to_kubo(foreign);
  Bytes others = bytes;
  others[2'345'678] ^= 1;
  const Error wrong = error_of([&] { world.put_as(others, foreign.p2p()); });
  CHECK(wrong.code() == Code::kFailedPrecondition);
  INFO(wrong.what());
  CHECK(std::string(wrong.what()).find("has other bytes") != std::string::npos);
  world.store->discard_ingest(world.call, "key");
  Bytes shorter(bytes.begin(), bytes.end() - 1);
  CHECK(error_of([&] { world.put_as(shorter, foreign.p2p()); }).code() == Code::kFailedPrecondition);
  world.store->discard_ingest(world.call, "key");

  world.put_as(bytes, foreign.p2p());
  CHECK(Locator::of(*world.store)->cid_of(world.call, foreign.p2p()) == ipld::Cid::v0(foreign.root.hash()).to_string());
  world.collect_garbage();
  world.open();
  CHECK(world.read(foreign.p2p()) == bytes);
}

TEST_CASE("a blob whose bytes are themselves a root comes back byte for byte") {
  World world;
  const Bytes file = some_bytes(700'000, 3);
  Dag dag(file);
  const Bytes root = dag.blocks.get(dag.root);
  const std::string digest = dag.p2p();
  REQUIRE(digest == digest_of(root));
  SECTION("the bytes first") {
    world.put(root);
    CHECK(world.read(digest) == root);
    CHECK(error_of([&] { world.put_as(file, digest); }).code() == Code::kFailedPrecondition);
  }
  SECTION("the file first") {
    world.put_as(file, digest);
    CHECK(world.read(digest) == file);
    world.put(root);
  }
  CHECK(world.read(digest) == root);
  CHECK(world.store->stat_blob(world.call, digest)->size == root.size());
  world.open();
  CHECK(world.read(digest) == root);
}

TEST_CASE("an index made anew finds everything, and serves no claim that it has not hashed") {
  World world;
  std::vector<Bytes> blobs;
  for (const size_t size : {0u, 1u, 262'144u, 262'145u, 900'000u}) blobs.push_back(some_bytes(size, 40));
  for (const Bytes& bytes : blobs) world.put(bytes);
  const Bytes file = some_bytes(600'000, 41);
  const Dag dag(file);
  world.put_as(file, dag.p2p());
  const std::string id = world.store->info(world.call).id;
  // Somebody puts other bytes in a blob's place.
  const std::string false_digest = digest_of(blobs[4]);
  Dag other(some_bytes(900'000, 42));
  world.give_to_kubo(other);
  world.rpc.mfs_link(world.own.call(), other.root, world.path(false_digest));

  world.open(0, "another state");
  CHECK(world.store->info(world.call).id == id);
  for (size_t i = 0; i < 4; ++i) {
    INFO(i);
    CHECK(world.store->stat_blob(world.call, digest_of(blobs[i]))->size == blobs[i].size());
    CHECK(world.read(digest_of(blobs[i])) == blobs[i]);
  }
  CHECK(world.read(dag.p2p()) == file);
  const Error error = error_of([&] { world.read(false_digest); });
  CHECK((error.code() == Code::kDataLoss || error.code() == Code::kNotFound));  // the other: found in the background
  CHECK_FALSE(world.store->stat_blob(world.call, false_digest));
  world.put(blobs[4]);
  CHECK(world.read(false_digest) == blobs[4]);
}

TEST_CASE("look_up finds what Kubo has, and ends with the call") {
  World world;
  const Bytes bytes = some_bytes(2'000'000, 5);
  Dag dag(bytes);
  world.give_to_kubo(dag);
  const auto locator = *Locator::of(*world.store);
  CHECK_FALSE(world.store->stat_blob(world.call, dag.p2p()));
  const auto found = locator.look_up(world.call, dag.p2p());
  REQUIRE(found);
  CHECK(found->size == bytes.size());
  CHECK(world.store->stat_blob(world.call, dag.p2p()));
  world.collect_garbage();
  CHECK(world.read(dag.p2p()) == bytes);

  const Call brief(Call::Clock::now() + 200ms);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(error_of([&] { locator.look_up(brief, digest_of(some_bytes(10, 6))); }).code() == Code::kDeadlineExceeded);
  CHECK(std::chrono::steady_clock::now() - begin < 3s);
  CHECK_FALSE(locator.look_up(world.call, "sha512:" + std::string(128, 'a')));
  // A block that is no file's root.
  const Bytes raw = some_bytes(1000, 7);
  ipld::Profile raw_leaves = ipld::named_profile("cid-version=1");
  Dag leaf(raw, raw_leaves);
  world.give_to_kubo(leaf);
  CHECK_FALSE(locator.look_up(world.call, digest_of(raw)));
}

TEST_CASE("a blob gets p2p digests of other layouts, and a CID becomes known under a digest") {
  World world;
  const Bytes bytes = some_bytes(2'500'000, 8);
  const std::string digest = world.put(bytes);
  const auto adopter = *Adopter::of(*world.store);
  const Adopted plain = adopter.adopt_blob(world.call, digest, "", "");
  CHECK(plain.digest == Dag(bytes).p2p());
  CHECK(plain.blocks == 11);
  const Adopted other = adopter.adopt_blob(world.call, digest, "size-65536", "unixfs-v1-2025");
  CHECK(other.digest != plain.digest);
  CHECK(world.read(other.digest) == bytes);
  CHECK(error_of([&] { adopter.adopt_blob(world.call, digest, "nonsense", ""); }).code() == Code::kInvalidArgument);
  CHECK(error_of([&] { adopter.adopt_blob(world.call, digest, "", "nonsense"); }).code() == Code::kInvalidArgument);
  CHECK(error_of([&] { adopter.adopt_blob(world.call, digest_of(some_bytes(3, 9)), "", ""); }).code() == Code::kNotFound);

  const Bytes more = some_bytes(1'500'000, 10);
  Dag dag(more, ipld::named_profile("cid-version=1"));
  world.give_to_kubo(dag);
  const std::string cid = dag.root.to_string();
  CHECK(error_of([&] { adopter.adopt_cid(world.call, cid, digest_of(bytes), 0); }).code() == Code::kFailedPrecondition);
  CHECK(error_of([&] { adopter.adopt_cid(world.call, cid, "", 7); }).code() == Code::kFailedPrecondition);
  CHECK(error_of([&] { adopter.adopt_cid(world.call, "nonsense", "", 0); }).code() == Code::kInvalidArgument);
  CHECK(adopter.adopt_cid(world.call, cid, "", more.size()).digest == dag.p2p());
  CHECK(adopter.adopt_cid(world.call, cid, digest_of(more), 0).digest == digest_of(more));
  world.collect_garbage();
  world.open();
  CHECK(world.read(digest_of(more)) == more);
  CHECK(world.read(dag.p2p()) == more);
}

TEST_CASE("blocks are told in the order of their bytes") {
  World world;
  const Bytes bytes = some_bytes(1'000'000, 11);
  const std::string digest = world.put(bytes);
  BlockCursor cursor = BlockLister::of(*world.store)->list_blocks(world.call, digest);
  std::vector<BlockEntry> blocks;
  for (auto some = cursor.next(world.call, 2); !some.empty(); some = cursor.next(world.call, 2))
    blocks.insert(blocks.end(), some.begin(), some.end());
  REQUIRE(blocks.size() == 5);
  CHECK(blocks[0].cid == Dag(bytes).root.to_string());
  CHECK(blocks[0].length == bytes.size());
  CHECK_FALSE(blocks[0].leaf);
  uint64_t at = 0;
  for (size_t i = 1; i < blocks.size(); ++i) {
    CHECK(blocks[i].leaf);
    CHECK(blocks[i].local);
    CHECK(blocks[i].offset == at);
    CHECK(blocks[i].size == world.rpc.block_get(world.own.call(), ipld::Cid::parse(blocks[i].cid), kubo::Reach::kLocal).size());
    at += blocks[i].length;
  }
  CHECK(at == bytes.size());
}

TEST_CASE("one who reads on gets the bytes ahead, however many read and wherever they go") {
  World world;
  const Bytes bytes = some_bytes((24 << 20) + 12345, 12);
  const std::string digest = world.put(bytes);
  // Anew, so that no block is in memory.
  world.open();
  const BlobReader reader = world.store->open_blob(world.call, digest);
  const auto same = [&](size_t from, size_t to, size_t step, bool cached) {
    Bytes piece(step);
    for (size_t at = from; at < to; at += step) {
      const size_t size = std::min(step, bytes.size() - at);
      const std::span<uint8_t> out = std::span(piece).first(size);
      if (!cached || reader.read_cached(at, out) != size) {
        if (reader.read_at(world.call, at, out) != size) return false;
      }
      if (!std::equal(out.begin(), out.end(), bytes.begin() + static_cast<ptrdiff_t>(at))) return false;
    }
    return true;
  };
  CHECK(same(0, bytes.size(), 32 << 10, true));
  CHECK(same(0, bytes.size(), 1 << 20, false));
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      // Reads on, goes elsewhere in the middle, and leaves before the end.
      const bool good = same(i << 20, (i + 8) << 20, 100'000 + i, i % 2 == 0) && same((12 + i) << 20, (20 + i) << 20, 1 << 20, i % 2 == 1);
      right += good ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 4);
}

TEST_CASE("a reader that is closed in the middle of its read-ahead holds nobody up") {
  World world;
  const Bytes bytes = some_bytes(16 << 20, 13);
  const std::string digest = world.put(bytes);
  world.open();
  for (int round = 0; round < 5; ++round) {
    const BlobReader reader = world.store->open_blob(world.call, digest);
    Bytes front(4 << 20);
    size_t done = 0;
    while (done < front.size()) done += reader.read_at(world.call, done, std::span(front).subspan(done, 256 << 10));
    CHECK(std::equal(front.begin(), front.end(), bytes.begin()));
  }
  CHECK(world.read(digest) == bytes);
}

TEST_CASE("a DAG leaves and arrives as a CAR") {
  World world;
  const Bytes bytes = some_bytes(20'000'000, 12);
  const std::string digest = world.put(bytes);
  Dag dag(bytes);
  const auto exchange = *CarExchange::of(*world.store);
  const std::vector<std::string> roots = {dag.root.to_string()};
  CarExport leaving = exchange.open_export(world.call, roots);
  Bytes car;
  Bytes piece(100'001);
  for (size_t count = leaving.read(world.call, piece); count > 0; count = leaving.read(world.call, piece))
    car.insert(car.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  ipld::CarReader reader;
  reader.append(car);
  while (reader.next()) {
  }
  reader.finish();
  CHECK(reader.blocks() == dag.blocks.size());
  CHECK(*reader.roots() == std::vector{dag.root});

  world.store->remove_blob(world.call, digest);
  CHECK(world.eventually([&] {
    world.collect_garbage();
    return !world.rpc.block_has(world.own.call(), dag.root);
  }));
  world.open();
  const auto back = *CarExchange::of(*world.store);
  {
    CarImport arriving = back.open_import(world.call);
    for (size_t at = 0; at < car.size(); at += 70'001)
      arriving.append(world.call, std::span(car).subspan(at, std::min<size_t>(70'001, car.size() - at)));
    CHECK(arriving.finish(world.call) == roots);
    world.collect_garbage();
    Adopter::of(*world.store)->adopt_cid(world.call, roots[0], digest, bytes.size());
  }
  CHECK(world.read(digest) == bytes);

  CarImport cut = back.open_import(world.call);
  cut.append(world.call, std::span(car).first(1'000'000));
  CHECK(error_of([&] { cut.finish(world.call); }).code() == Code::kInvalidArgument);
  Bytes damaged = car;
  damaged[5'000'000] ^= 1;
  CarImport wrong = back.open_import(world.call);
  CHECK(error_of([&] { wrong.append(world.call, damaged); }).code() == Code::kDataLoss);
  Prefetcher::of(*world.store)->prefetch(world.call, digest, 5'000'000, 1'000'000);
}

}  // namespace ipcs::ipfs_http::test
