// DAGs that somebody made to do harm, and the costs of what others hold.
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"
#include "world.hpp"

namespace ipcs::ipfs_http::test {
namespace {

// A DAG made by hand, which need not be true.
struct Made {
  std::vector<std::pair<ipld::Cid, Bytes>> order;

  ipld::Cid put(Bytes block) {
    const ipld::Cid cid = ipld::Cid::v0(ipld::Multihash::of(ipld::HashCode::kSha2_256, block));
    order.emplace_back(cid, std::move(block));
    return cid;
  }
  ipld::Cid leaf(const Bytes& bytes) {
    const ipld::LeafFrame frame = ipld::leaf_frame(bytes.size());
    Bytes block = frame.before;
    block.insert(block.end(), bytes.begin(), bytes.end());
    block.insert(block.end(), frame.behind.begin(), frame.behind.end());
    return put(std::move(block));
  }
  // A node of a file: its children with the sizes that it says they have. As blocks they are said to be larger by `more`.
  // The file has `lie` bytes more than their sum, it says.
  ipld::Cid node(const std::vector<std::pair<ipld::Cid, uint64_t>>& children, uint64_t more = 1000, uint64_t lie = 0) {
    Bytes block;
    ipld::Unixfs unixfs;
    unixfs.file_size = lie;
    for (const auto& [cid, size] : children) {
      ipld::append_link(block, cid, "", size + more);
      unixfs.block_sizes.push_back(size);
      *unixfs.file_size += size;
    }
    ipld::append_data(block, unixfs.encode());
    return put(std::move(block));
  }
  void give(World& world, const ipld::Cid& root) {
    Bytes car;
    ipld::CarWriter writer([&](ipld::BytesView piece) { car.insert(car.end(), piece.begin(), piece.end()); }, {&root, 1});
    for (const auto& [cid, data] : order) writer.put(cid, data);
    world.rpc.dag_import(world.own.call(), {car}, false);
  }
};

// Below a root of `bytes` also a part without any, which opens into 500 to the power of 6.
ipld::Cid bottomless(World& world, const Bytes& bytes) {
  Made made;
  const ipld::Cid leaf = made.leaf(bytes);
  ipld::Cid nothing = made.leaf({});
  for (int level = 0; level < 6; ++level)
    nothing = made.node(std::vector<std::pair<ipld::Cid, uint64_t>>(500, {nothing, 0}));
  const ipld::Cid root = made.node({{leaf, bytes.size()}, {nothing, 0}});
  made.give(world, root);
  return root;
}

}  // namespace

TEST_CASE("a root with parts that hold no bytes holds up no commit and no listing") {
  World world;
  const Bytes bytes = some_bytes(18, 300);
  const ipld::Cid root = bottomless(world, bytes);
  const std::string digest = *p2p_digest(root);
  const auto begin = std::chrono::steady_clock::now();
  const Error error = error_of([&] { world.put_as(bytes, digest); });
  CHECK(error.code() == Code::kFailedPrecondition);
  INFO(error.what());
  CHECK(std::string(error.what()).find("a part without bytes") != std::string::npos);
  CHECK_FALSE(world.store->stat_blob(world.call, digest));

  // As a reading it has its 18 bytes and, besides the root, one block.
  REQUIRE(Locator::of(*world.store)->look_up(world.call, digest));
  CHECK(world.read(digest) == bytes);
  size_t blocks = 0;
  auto cursor = BlockLister::of(*world.store)->list_blocks(world.call, digest);
  for (auto page = cursor.next(world.call); !page.empty(); page = cursor.next(world.call)) blocks += page.size();
  CHECK(blocks == 2);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("a root that says another size than its parts have proves nothing") {
  World world;
  const Bytes bytes = some_bytes(50'000, 304);
  Made made;
  const ipld::Cid leaf = made.leaf(bytes), root = made.node({{leaf, bytes.size()}}, 1000, 1);
  made.give(world, root);
  const Error error = error_of([&] { world.put_as(bytes, *p2p_digest(root)); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK_FALSE(world.store->stat_blob(world.call, *p2p_digest(root)));
}

TEST_CASE("a block is listed at its own size, whatever its parent says") {
  World world;
  const Bytes bytes = some_bytes(1000, 303);
  const uint64_t own = bytes.size() + ipld::leaf_frame(bytes.size()).before.size() + ipld::leaf_frame(bytes.size()).behind.size();
  for (const uint64_t more : {uint64_t{0}, own - bytes.size() - 1, own - bytes.size(), own - bytes.size() + 1, uint64_t{1000}}) {
    INFO(more);
    Made made;
    const ipld::Cid leaf = made.leaf(bytes), root = made.node({{leaf, bytes.size()}}, more);
    made.give(world, root);
    REQUIRE(Locator::of(*world.store)->look_up(world.call, *p2p_digest(root)));
    auto cursor = BlockLister::of(*world.store)->list_blocks(world.call, *p2p_digest(root));
    uint64_t size = 0;
    for (auto page = cursor.next(world.call); !page.empty(); page = cursor.next(world.call)) {
      for (const auto& block : page) {
        if (block.leaf) size += block.size;
      }
    }
    CHECK(size == own);
  }
}

TEST_CASE("a root with a node for each byte is told from a file's") {
  World world;
  const Bytes bytes = some_bytes(30'000, 301);
  Made made;
  std::vector<std::pair<ipld::Cid, uint64_t>> leaves;
  for (const uint8_t byte : bytes) leaves.emplace_back(made.leaf({byte}), 1);
  const ipld::Cid root = made.node(leaves);
  made.give(world, root);
  const Error error = error_of([&] { world.put_as(bytes, *p2p_digest(root)); });
  CHECK(error.code() == Code::kFailedPrecondition);
  INFO(error.what());
  CHECK(std::string(error.what()).find("too many nodes") != std::string::npos);
}

TEST_CASE("nodes that say too many links together are damage, not memory") {
  World world;
  // Three levels of 60,000 links each, of blocks that nobody has: only the way down counts.
  Made made;
  const ipld::Cid absent = ipld::Cid::v1(ipld::Codec::kRaw, ipld::Multihash(ipld::HashCode::kIdentity, Bytes{1}));
  ipld::Cid below = made.node(std::vector<std::pair<ipld::Cid, uint64_t>>(60'000, {absent, 1}));
  uint64_t size = 60'000;
  for (int level = 0; level < 2; ++level) {
    std::vector<std::pair<ipld::Cid, uint64_t>> children(59'999, {absent, 1});
    children.insert(children.begin(), {below, size});
    below = made.node(children);
    size += 59'999;
  }
  made.give(world, below);
  const std::string digest = *p2p_digest(below);
  REQUIRE(Locator::of(*world.store)->look_up(world.call, digest));
  const Error error = error_of([&] { world.read(digest); });
  CHECK(error.code() == Code::kDataLoss);
  INFO(error.what());
  CHECK(std::string(error.what()).find("links, more than") != std::string::npos);
  const Error listed = error_of([&] {
    auto cursor = BlockLister::of(*world.store)->list_blocks(world.call, digest);
    while (!cursor.next(world.call).empty()) {
    }
  });
  CHECK(listed.code() == Code::kDataLoss);
}

TEST_CASE("small chunks, of which a guard has no room for all, are sent under several") {
  World world;
  const Bytes bytes(3'000'000, 0);  // of few blocks, which stand there often
  const std::string digest = world.put(bytes);
  const auto adopter = *Adopter::of(*world.store);
  const auto adopted = adopter.adopt_blob(world.call, digest, "size-64", "");
  CHECK(world.read(adopted.digest) == bytes);
}

TEST_CASE("another Kubo in the place of the one that has the blocks gets no blob") {
  RunningKubo first, second;
  second.kill();
  World world(first);
  world.put(some_bytes(1000, 310));
  const Bytes bytes = some_bytes(30'000'000, 311);
  Ingest ingest = world.ingest(bytes);
  std::this_thread::sleep_for(500ms);  // some of it is in the first one
  REQUIRE(second.run({"config", "Addresses.API", first.address()}) == 0);
  first.kill();
  second.start();
  const std::string digest = digest_of(bytes);
  const Error error = error_of([&] { ingest.commit(world.call, bytes.size(), digest, digest); });
  CHECK(error.code() == Code::kFailedPrecondition);
  INFO(error.what());
  CHECK(std::string(error.what()).find("give the right Kubo back") != std::string::npos);
  CHECK_FALSE(world.store->stat_blob(world.call, digest));
  second.kill();
  first.start();
  ingest.commit(world.call, bytes.size(), digest, digest);
  CHECK(world.read(digest) == bytes);
}

TEST_CASE("a claim whose blocks nobody has holds up neither a commit of its digest nor removals") {
  World world;
  const Bytes bytes = some_bytes(700'000, 320), other = some_bytes(1000, 321);
  const std::string digest = world.put(bytes), removed = world.put(other);
  Dag dag(bytes);
  REQUIRE(world.kubo.run({"block", "rm", "-f", dag.order[1].first.to_string()}) == 0);
  world.open(0, "another state");
  std::atomic<bool> over{false};
  std::thread reader([&] {
    const Call patient(Call::Clock::now() + 8s);
    error_of([&] { world.store->open_blob(patient, digest); });
    over = true;
  });
  std::this_thread::sleep_for(500ms);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(world.store->remove_blob(world.call, removed));
  CHECK(world.eventually([&] { return !world.rpc.mfs_stat(world.own.call(), world.path(removed)); }));
  world.put(bytes);
  CHECK(std::chrono::steady_clock::now() - begin < 6s);
  CHECK_FALSE(over);
  reader.join();
  CHECK(world.read(digest) == bytes);
}

TEST_CASE("who reads a part has about that part fetched, however small the pieces") {
  RunningKubo far, near;
  World origin(far), world(near);
  const Bytes bytes = some_bytes(64'000'000, 330);
  Dag dag(bytes);
  origin.give_to_kubo(dag);
  const auto swarm = origin.rpc.client().post(origin.own.call(), "id").json(origin.own.call());
  REQUIRE(near.run({"swarm", "connect", swarm.at("Addresses").at(0).get<std::string>()}) == 0);
  const auto digest = Adopter::of(*world.store)->adopt_cid(world.call, dag.root.to_string(), "", 0).digest;
  const BlobReader reader = world.store->open_blob(world.call, digest);
  Bytes piece(32 << 10);
  const uint64_t begin = 20'000'000, end = begin + (2 << 20);
  for (uint64_t at = begin; at < end; at += piece.size()) {
    REQUIRE(reader.read_at(world.call, at, piece) == piece.size());
    REQUIRE(std::equal(piece.begin(), piece.end(), bytes.begin() + static_cast<ptrdiff_t>(at)));
  }
  std::this_thread::sleep_for(3s);  // what is under way comes, too
  uint64_t fetched = 0;
  for (const auto& [cid, block] : dag.order) {
    if (world.rpc.block_has(world.own.call(), cid)) fetched += block.size();
  }
  CHECK(fetched >= (2u << 20));
  // Beside it: 2 MiB that are read ahead, the rest of the request that they came with, and ten blocks ahead of Kubo's own.
  CHECK(fetched <= (10u << 20));
}

}  // namespace ipcs::ipfs_http::test
