// ipcs.repair/1 on a real Kubo: nothing to find after ordinary work, and what is lost on either side comes back.
#include "car_batch.hpp"
#include "database.hpp"
#include "world.hpp"

namespace ipcs::ipfs_http::test {
namespace {

using Kind = Difference::Kind;

struct Outcome {
  std::vector<Difference> found;
  Repaired repaired;
  uint64_t done_bytes = 0, total_bytes = 0, done_blobs = 0;
  std::vector<std::string> names(Kind kind, bool mended) const {
    std::vector<std::string> names;
    for (const Difference& difference : found) {
      if (difference.kind == kind && difference.mended == mended) names.push_back(difference.name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

Outcome walk(World& world, bool dry_run) {
  Outcome outcome;
  const auto repairer = Repairer::of(*world.store);
  REQUIRE(repairer);
  outcome.repaired = repairer->repair(world.call, dry_run,
                                      {[&](const Difference& difference) { outcome.found.push_back(difference); },
                                       [&](const RepairProgress& progress) {
                                         outcome.done_bytes = progress.done_bytes;
                                         outcome.total_bytes = progress.total_bytes;
                                         outcome.done_blobs = progress.done_blobs;
                                       }});
  for (const Difference& difference : outcome.found) UNSCOPED_INFO(difference.name << ": " << difference.detail);
  return outcome;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

// The tidying thread writes too.
void in_index(World& world, const std::function<void(Database&)>& body) {
  world.store.reset();
  {
    Database database((world.directory.path() / "state/index.db").string());
    body(database);
  }
  world.open();
}

}  // namespace

TEST_CASE("after commits, removals and unfinished ingests there is nothing to find") {
  World world;
  for (uint32_t i = 0; i < 20; ++i) world.put(some_bytes(i * 20'000, 200 + i));
  const std::string gone = world.put(some_bytes(30'000'000, 230));
  world.store->remove_blob(world.call, gone);
  world.put_as(some_bytes(600'000, 231), Dag(some_bytes(600'000, 231)).p2p());
  const Ingest open = world.ingest(some_bytes(20'000'000, 232), "open");
  const Outcome audit = walk(world, true);
  CHECK(audit.found.empty());
  CHECK((audit.repaired.blobs == 21 && audit.done_blobs == 21 && audit.repaired.claims == 0));
  CHECK((audit.done_bytes == audit.repaired.bytes && audit.total_bytes == audit.repaired.bytes));
  CHECK(walk(world, false).found.empty());
}

TEST_CASE("a lost state directory is rebuilt from Kubo, and all bytes are hashed") {
  World world;
  const Bytes small = some_bytes(1000, 240), large = some_bytes(3'000'000, 241), root = some_bytes(700'000, 242);
  const std::string a = world.put(small), b = world.put(large), p2p = Dag(root).p2p();
  world.put_as(root, p2p);
  // An entry with other bytes.
  const std::string wrong = digest_of(some_bytes(50'000, 243));
  Dag dag(some_bytes(50'000, 244));
  world.give_to_kubo(dag);
  world.rpc.mfs_link(world.own.call(), dag.root, world.path(wrong));
  world.store.reset();
  fs::remove_all(world.directory.path() / "state");
  world.open();
  const Outcome repaired = walk(world, false);
  CHECK(repaired.repaired.claims == 0);
  CHECK(repaired.done_bytes <= repaired.total_bytes);
  CHECK(repaired.names(Kind::kMissing, false).empty());
  CHECK(world.read(a) == small);
  CHECK(world.read(b) == large);
  CHECK(world.read(p2p) == root);
  // The tidying thread may have been there first.
  CHECK_FALSE(world.store->stat_blob(world.call, wrong));
  CHECK(world.eventually([&] { return !world.rpc.mfs_stat(world.own.call(), world.path(wrong)); }));
  CHECK(walk(world, true).found.empty());
}

TEST_CASE("an older index gets what Kubo has beside it") {
  World world;
  const Bytes first = some_bytes(300'000, 250), second = some_bytes(400'000, 251);
  world.put(first);
  world.put(second);
  in_index(world, [&](Database& database) {
    const std::string digest = digest_of(second);
    Database::Run(database, "DELETE FROM blobs WHERE digest = ?").bind(digest).finish();
  });
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(second)));
  CHECK(walk(world, true).names(Kind::kLeaked, false) == sorted({digest_of(second)}));
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(second)));
  CHECK(walk(world, false).names(Kind::kLeaked, true) == sorted({digest_of(second)}));
  CHECK(world.read(digest_of(second)) == second);
  CHECK(walk(world, true).found.empty());
}

TEST_CASE("entries that MFS lost are made anew where Kubo has the blob, and forgotten where not") {
  World world;
  const Bytes kept = some_bytes(2'000'000, 260), lost = some_bytes(900'000, 261), cut = some_bytes(800'000, 262);
  for (const Bytes& bytes : {kept, lost, cut}) world.put(bytes);
  const Bytes lazy = some_bytes(700'000, 263);
  Dag tree(lazy);
  world.put_as(lazy, tree.p2p());
  std::this_thread::sleep_for(4s);  // the guards' pins go
  CHECK(world.kubo.run({"files", "rm", "-r", world.prefix + "/blobs"}) == 0);
  for (const ipld::Cid& cid : {Dag(lost).root, Dag(cut).order[1].first, tree.order[0].first})
    CHECK(world.kubo.run({"block", "rm", "--force", cid.to_string()}) == 0);
  CHECK(walk(world, true).names(Kind::kMissing, false) == sorted({digest_of(kept), digest_of(lost), digest_of(cut), tree.p2p()}));
  const Outcome repaired = walk(world, false);
  CHECK(repaired.names(Kind::kMissing, true) == sorted({digest_of(kept), tree.p2p()}));
  CHECK(repaired.names(Kind::kMissing, false) == sorted({digest_of(lost), digest_of(cut)}));
  world.collect_garbage();
  CHECK(world.read(digest_of(kept)) == kept);
  CHECK_FALSE(world.store->stat_blob(world.call, digest_of(lost)));
  CHECK(world.store->stat_blob(world.call, tree.p2p()));
  CHECK(walk(world, true).found.empty());
  world.put(lost);
  CHECK(world.read(digest_of(lost)) == lost);
}

TEST_CASE("the whole directory in MFS is made anew, but not on a Kubo that has no blob of the store") {
  RunningKubo kubo;
  World world(kubo);
  const Bytes bytes = some_bytes(500'000, 270);
  const std::string digest = world.put(bytes);
  CHECK(kubo.run({"files", "rm", "-r", world.prefix}) == 0);
  const Outcome repaired = walk(world, false);
  CHECK(repaired.names(Kind::kMissing, true) == sorted({digest, world.prefix + "/id"}));
  world.open();
  CHECK(world.read(digest) == bytes);

  std::this_thread::sleep_for(4s);
  CHECK(kubo.run({"files", "rm", "-r", world.prefix}) == 0);
  world.collect_garbage();
  const Error error = error_of([&] { walk(world, false); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()).find("give the right Kubo back") != std::string::npos);
  CHECK(world.store->stat_blob(world.call, digest));
}

TEST_CASE("pins that an upload left behind are dropped, the operator's and other stores' are not") {
  World world;
  const std::string id = world.store->info(world.call).id;
  const auto guard = [&](const std::string& store, uint32_t seed) {
    CarBatch batch;
    const Bytes bytes = some_bytes(100'000, seed);
    batch.put(ipld::Cid::v1(ipld::Codec::kRaw, ipld::Multihash::of(ipld::HashCode::kSha2_256, bytes)), bytes);
    batch.send(world.own.call(), world.rpc, store);
    return batch.root(store);
  };
  const ipld::Cid left = guard(id, 280), others = guard("another", 281);
  Dag dag(some_bytes(600'000, 282));
  world.rpc.dag_import(world.own.call(), {dag.car()}, true);
  const std::vector<std::string> leaked{left.to_string()};
  CHECK(walk(world, true).names(Kind::kLeaked, false) == leaked);
  CHECK(walk(world, false).names(Kind::kLeaked, true) == leaked);
  CHECK_FALSE(world.rpc.is_pinned(world.own.call(), left));
  CHECK(world.rpc.is_pinned(world.own.call(), others));
  CHECK(world.rpc.is_pinned(world.own.call(), dag.root));
  CHECK(walk(world, true).found.empty());
}

TEST_CASE("a repair that was cut off goes on where it was") {
  World world;
  for (uint32_t i = 0; i < 8; ++i) world.put(some_bytes(2'000'000, 290 + i));
  in_index(world, [](Database& database) { database.execute("DELETE FROM blobs"); });
  const auto repairer = Repairer::of(*world.store);
  int told = 0;
  const Repairer::Observer cut{[&](const Difference&) {
                                 if (++told == 3) throw Error(Code::kCancelled, "enough");
                               },
                               {}};
  CHECK(error_of([&] { repairer->repair(world.call, false, cut); }).code() == Code::kCancelled);
  CHECK(walk(world, false).names(Kind::kLeaked, true).size() == 5);
  for (uint32_t i = 0; i < 8; ++i) CHECK(world.read(digest_of(some_bytes(2'000'000, 290 + i))).size() == 2'000'000);
}

TEST_CASE("Kubo away is no difference") {
  RunningKubo kubo;
  World world(kubo);
  const std::string digest = world.put(some_bytes(1000, 299));
  kubo.kill();
  CHECK(error_of([&] { walk(world, false); }).code() == Code::kFailedPrecondition);
  CHECK(world.store->stat_blob(world.call, digest));
}

}  // namespace ipcs::ipfs_http::test
