// Bytes of a long ingest, which are in a file and in Kubo: nothing of them is stored twice, and nothing is lost.
#include <sys/stat.h>

#include "car_batch.hpp"
#include "world.hpp"

namespace ipcs::ipfs_http::test {
namespace {

constexpr size_t kSize = 150'000'000;

// Bytes of the disk that the staged file takes.
uint64_t room(const World& world, const std::string& key = "key") {
  struct stat st {};
  const std::string path = (world.directory.path() / "state/ingests" / key).string();
  return ::stat(path.c_str(), &st) == 0 ? static_cast<uint64_t>(st.st_blocks) * 512 : 0;
}

// An open ingest, of whose bytes Kubo has so many that the file lacks a good part.
Ingest long_ingest(World& world, const Bytes& bytes) {
  Ingest ingest = world.ingest(bytes);
  CHECK(world.eventually([&] { return room(world) < bytes.size() - (48u << 20); }));
  return ingest;
}

Bytes read_all(World& world, const Ingest& ingest, size_t step = 1 << 20) {
  Bytes bytes(ingest.size());
  size_t done = 0;
  while (done < bytes.size()) {
    const size_t count = ingest.read_at(world.call, done, std::span(bytes).subspan(done, std::min(step, bytes.size() - done)));
    if (count == 0) break;
    done += count;
  }
  bytes.resize(done);
  return bytes;
}

std::vector<ipld::Cid> guards(World& world) {
  std::vector<ipld::Cid> found;
  const std::string store = world.store->info(world.call).id;
  for (const ipld::Cid& cid : world.rpc.pins(world.own.call())) {
    const ipld::Bytes block = world.rpc.block_get(world.own.call(), cid, kubo::Reach::kLocal);
    if (CarBatch::is_guard(block, store)) found.push_back(cid);
  }
  return found;
}

uint64_t pending(World& world) {
  const Repairer::Observer nobody{[](const Difference&) {}, [](const RepairProgress&) {}};
  return Repairer::of(*world.store)->repair(world.call, true, nobody).pending;
}

}  // namespace

TEST_CASE("what Kubo holds of an ingest leaves the file, and is read from there over a start") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(kSize, 200);
  {
    const Ingest ingest = long_ingest(world, bytes);
    CHECK(read_all(world, ingest) == bytes);
    // Also in pieces that are no leaves.
    const Bytes some = [&] {
      Bytes piece(300'000);
      CHECK(ingest.read_at(world.call, 262'000, piece) == piece.size());
      return piece;
    }();
    CHECK(std::equal(some.begin(), some.end(), bytes.begin() + 262'000));
  }
  world.open();
  world.collect_garbage();  // the guards are there still
  {
    Ingest ingest = world.store->open_ingest(world.call, "key", false, 0);
    REQUIRE(ingest.size() == bytes.size());
    CHECK(read_all(world, ingest, 700'000) == bytes);
    kubo.kill();
    Bytes piece(1000);
    CHECK(error_of([&] { ingest.read_at(world.call, 0, piece); }).code() == Code::kFailedPrecondition);
    const Bytes more = some_bytes(1'000'000, 201);
    ingest.append(world.call, more);
    kubo.start();
    Bytes whole = bytes;
    whole.insert(whole.end(), more.begin(), more.end());
    const std::string digest = digest_of(whole);
    ingest.commit(world.call, whole.size(), digest, digest);
    world.collect_garbage();
    CHECK(world.read(digest) == whole);
  }
  CHECK(world.eventually([&] { return guards(world).empty() && pending(world) == 0; }));
}

TEST_CASE("an ingest is cut where its bytes are in Kubo") {
  World world;
  const Bytes bytes = some_bytes(kSize, 210);
  Ingest ingest = long_ingest(world, bytes);
  for (const size_t size : {size_t{40'000'000}, size_t{262'144 * 32}, size_t{1'000'001}}) {
    ingest.truncate(world.call, size);
    REQUIRE(ingest.size() == size);
    CHECK(read_all(world, ingest) == Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)));
  }
  const Bytes other = some_bytes(kSize, 211);  // in the place of what was cut off
  ingest.append(world.call, std::span(other).first(100'000'000));
  Bytes whole(bytes.begin(), bytes.begin() + 1'000'001);
  whole.insert(whole.end(), other.begin(), other.begin() + 100'000'000);
  const std::string digest = digest_of(whole);
  ingest.commit(world.call, whole.size(), digest, digest);
  CHECK(world.read(digest) == whole);
}

TEST_CASE("what Kubo has lost of an ingest is where its bytes end") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(kSize, 220);
  { const Ingest ingest = long_ingest(world, bytes); }
  for (const ipld::Cid& guard : guards(world)) world.rpc.unpin(world.own.call(), guard);
  world.collect_garbage();
  world.open();
  Ingest ingest = world.store->open_ingest(world.call, "key", false, 0);
  REQUIRE(ingest.size() == bytes.size());
  CHECK(read_all(world, ingest).empty());
  const std::string digest = digest_of(bytes);
  CHECK(error_of([&] { ingest.commit(world.call, bytes.size(), digest, digest); }).code() == Code::kDataLoss);
  CHECK_FALSE(world.store->stat_blob(world.call, digest));
  ingest.truncate(world.call, 0);  // as the host does, whose client begins again
  ingest.append(world.call, bytes);
  ingest.commit(world.call, bytes.size(), digest, digest);
  CHECK(world.read(digest) == bytes);
}

TEST_CASE("parts of bytes that were cut off just before a kill do not come back") {
  World world;
  const Bytes bytes = some_bytes(kSize, 225), other = some_bytes(kSize, 226);
  { const Ingest ingest = long_ingest(world, bytes); }
  world.store.reset();
  fs::resize_file(world.directory.path() / "state/ingests/key", 0);
  world.open();
  {
    Ingest ingest = world.store->open_ingest(world.call, "key", false, 0);
    REQUIRE(ingest.size() == 0);
    ingest.append(world.call, other);
  }
  world.open();
  Ingest ingest = world.store->open_ingest(world.call, "key", false, 0);
  CHECK(read_all(world, ingest) == other);
}

TEST_CASE("a Kubo that restarts in the middle of an ingest costs nothing of it") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(kSize, 230);
  Ingest ingest = long_ingest(world, Bytes(bytes.begin(), bytes.begin() + 100'000'000));
  kubo.kill();
  ingest.append(world.call, std::span(bytes).subspan(100'000'000));
  kubo.start();
  const std::string digest = digest_of(bytes);
  ingest.commit(world.call, bytes.size(), digest, digest);
  world.collect_garbage();
  CHECK(world.read(digest) == bytes);
}

TEST_CASE("a root of another layout is proved by bytes that are in Kubo alone") {
  World world;
  const Bytes bytes = some_bytes(kSize, 240);
  ipld::Profile profile;
  profile.chunker = "size-1048576";
  Dag dag(bytes, profile);
  world.give_to_kubo(dag);
  Ingest ingest = long_ingest(world, bytes);
  ingest.commit(world.call, bytes.size(), dag.p2p(), digest_of(bytes));
  CHECK(world.read(dag.p2p()) == bytes);
}

TEST_CASE("an ingest that is discarded, or whose file is gone, leaves no guard") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(kSize, 250);
  { const Ingest ingest = long_ingest(world, bytes); }
  CHECK_FALSE(guards(world).empty());
  world.store->discard_ingest(world.call, "key");
  CHECK(world.eventually([&] { return guards(world).empty() && pending(world) == 0; }));

  { const Ingest ingest = long_ingest(world, bytes); }
  world.store.reset();
  fs::remove(world.directory.path() / "state/ingests/key");
  world.open();
  CHECK(world.eventually([&] { return guards(world).empty() && pending(world) == 0; }));
}

}  // namespace ipcs::ipfs_http::test
