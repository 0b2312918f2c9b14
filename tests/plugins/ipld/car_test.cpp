// CARs: written and read in any pieces; cut, damaged and malformed ones.
#include "ipld/car.hpp"

#include <catch2/catch.hpp>

#include "ipcs/error.hpp"
#include "ipld/car_header.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/dag_walk.hpp"
#include "plugins/ipld/samples.hpp"

using namespace ipcs::ipld;
using namespace ipcs::ipld::samples;
using Catch::Contains;
using ipcs::Code;
using ipcs::Error;

namespace {

Cid raw_cid(BytesView bytes) {
  return Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, bytes));
}

Bytes car_of(std::span<const Cid> roots, const std::vector<Bytes>& blocks) {
  Bytes car;
  CarWriter writer([&](BytesView bytes) { car.insert(car.end(), bytes.begin(), bytes.end()); }, roots);
  uint64_t size = writer.size();
  for (const Bytes& block : blocks) {
    writer.put(raw_cid(block), block);
    size += CarWriter::section_size(raw_cid(block), block.size());
  }
  CHECK(writer.size() == car.size());
  CHECK(size == car.size());
  return car;
}

std::vector<Block> read(BytesView car, size_t most, uint64_t seed = 1, std::vector<Cid>* roots = nullptr) {
  CarReader reader;
  std::vector<Block> blocks;
  in_pieces(car, most, seed, [&](BytesView piece) {
    reader.append(piece);
    while (auto block = reader.next()) blocks.push_back(*std::move(block));
  });
  reader.finish();
  CHECK(reader.blocks() == blocks.size());
  if (roots != nullptr) *roots = *reader.roots();
  return blocks;
}

std::string refusal(BytesView car, Code code) {
  try {
    read(car, 1 << 20);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "accepted";
}

Bytes with_header(const Bytes& header) {
  Bytes car{static_cast<uint8_t>(header.size())};
  car.insert(car.end(), header.begin(), header.end());
  return car;
}

}  // namespace

TEST_CASE("a CAR gives back its roots and blocks, in any pieces") {
  const std::vector<Bytes> blocks{noise(10, 1), {}, noise(300'000, 2), noise(127, 3), noise(kMaxBlockSize, 4)};
  const std::vector<Cid> roots{raw_cid(blocks[0]), Cid::parse("QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN")};
  const Bytes car = car_of(roots, blocks);
  for (const size_t most : {size_t{50'000}, size_t{1'000'000}, size_t{10'000'000}}) {
    std::vector<Cid> read_roots;
    const std::vector<Block> got = read(car, most, most, &read_roots);
    CHECK(read_roots == roots);
    REQUIRE(got.size() == blocks.size());
    for (size_t i = 0; i < blocks.size(); ++i) CHECK(got[i].data == blocks[i]);
  }
  const Bytes small = car_of(roots, {blocks[0], blocks[1], blocks[3]});
  CHECK(read(small, 1).size() == 3);
  CHECK(read(car_of({}, {}), 3).empty());
}

TEST_CASE("the header that Kubo writes") {
  const Cid root = Cid::parse("bafkqaaa");
  CHECK(hex(encode_car_header(std::span(&root, 1))) ==
        "a265726f6f747381d82a450001550000"
        "6776657273696f6e01");
  CHECK(decode_car_header(unhex("a26776657273696f6e0165726f6f747380")).empty());  // the other order
  std::vector<Cid> many(1000, root);
  CHECK(decode_car_header(encode_car_header(many)) == many);
}

TEST_CASE("headers that are none") {
  const auto said = [](std::string_view text) { return refusal(with_header(unhex(text)), Code::kInvalidArgument); };
  CHECK_THAT(said("a16776657273696f6e02"), Contains("version 2"));
  CHECK_THAT(said("a165726f6f747380"), Contains("lacks"));
  CHECK_THAT(said("a16776657273696f6e01"), Contains("lacks"));
  CHECK_THAT(said("a265726f6f74738065726f6f747380"), Contains("\"roots\""));
  CHECK_THAT(said("a265726f6f7473806776657273696f6e0100"), Contains("behind its end"));
  CHECK_THAT(said("a265726f6f7473806776657273696f6e1801"), Contains("as short"));
  CHECK_THAT(said("a265726f6f7473806776657273696f6e"), Contains("cut off"));
  CHECK_THAT(said("a2646f6f7473806776657273696f6e01"), Contains("\"oots\""));
  CHECK_THAT(said("a265726f6f747381d82b450001550000"
                  "6776657273696f6e01"),
             Contains("no CID"));
  CHECK_THAT(said("a265726f6f747381d82a450101550000"
                  "6776657273696f6e01"),
             Contains("no CID"));
  CHECK_THAT(said("a265726f6f74739bffffffffffffffff"), Contains("cut off"));
  CHECK_THAT(said("bf65726f6f747380"), Contains("no DAG-CBOR"));
  CHECK_THAT(said("80"), Contains("no map"));
  CHECK_THAT(refusal(unhex("00"), Code::kInvalidArgument), Contains("without bytes"));
  CHECK_THAT(refusal(unhex("8000"), Code::kInvalidArgument), Contains("no varint"));
  CHECK_THAT(refusal(unhex("818040"), Code::kInvalidArgument), Contains("1048577 bytes, where 1048576 are allowed"));
}

TEST_CASE("a CAR that is cut anywhere is found out") {
  const std::vector<Bytes> blocks{noise(10, 1), noise(200, 2)};
  const Bytes car = car_of({}, blocks);
  const size_t header = car_of({}, {}).size(), first = car_of({}, {blocks[0]}).size();
  for (size_t size = 0; size < car.size(); ++size) {
    const std::string said = refusal(BytesView(car).first(size), Code::kDataLoss);
    CHECK((said == "accepted") == (size == header || size == first));
    if (said != "accepted") CHECK_THAT(said, Contains(size < header ? "before its header" : "cut off"));
  }
}

TEST_CASE("sections that lie") {
  const Bytes block = noise(50, 1);
  const Bytes car = car_of({}, {block});
  const size_t header = car_of({}, {}).size();
  for (size_t at = car.size() - block.size(); at < car.size(); ++at) {
    Bytes damaged = car;
    damaged[at] ^= 0x10;
    CHECK_THAT(refusal(damaged, Code::kDataLoss), Contains(raw_cid(block).to_string()) && Contains("another hash"));
  }
  const auto section = [&](std::string_view text) {
    Bytes bytes(car.begin(), car.begin() + static_cast<ptrdiff_t>(header));
    const Bytes more = unhex(text);
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
  };
  CHECK_THAT(refusal(section("00"), Code::kInvalidArgument),
             Contains("at byte " + std::to_string(header)) && Contains("without bytes"));
  CHECK_THAT(refusal(section("0102"), Code::kInvalidArgument), Contains("at byte " + std::to_string(header)));
  CHECK_THAT(refusal(section("ffffffff7f"), Code::kInvalidArgument), Contains("are allowed"));
  CHECK_THAT(refusal(section("2501551e20" + std::string(64, '1') + "00"), Code::kUnimplemented), Contains("0x1e"));

  Bytes large = noise(kMaxBlockSize + 1, 1);
  CHECK_THAT(refusal(car_of({}, {large}), Code::kInvalidArgument), Contains("2097153 bytes"));
}

TEST_CASE("a walk visits every block once, depth first") {
  Profile profile = named_profile("cid-version=1");
  profile.chunker = "size-100";
  profile.max_links = 3;
  MemoryBlockstore store;
  Bytes bytes = noise(1500, 1);
  std::copy_n(bytes.begin(), 100, bytes.begin() + 700);  // one leaf stands there twice
  const Subtree root = build(profile, bytes, store);
  std::vector<Cid> visited;
  BlockCallback sink([&](const Cid& cid, BytesView data) {
    verify(cid, data);
    visited.push_back(cid);
  });
  walk(store, root.cid, sink);
  CHECK(visited.size() == store.size());
  CHECK(visited[0] == root.cid);
  CHECK(visited[3] == raw_cid(BytesView(bytes).first(100)));

  class Liar final : public BlockSource {
    Bytes get(const Cid&) override { return {1, 2, 3}; }
  } liar;
  try {
    walk(liar, root.cid, sink);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kDataLoss);
    CHECK_THAT(error.what(), Contains(root.cid.to_string()));
  }
  // Wide nodes without an end use up the links that may wait, not the memory.
  const Bytes leaf = noise(1, 1);
  class Wide final : public BlockSource {
   public:
    // Each node links to 40,000 others; the nodes are made up as they are asked for.
    Bytes get(const Cid& cid) override { return made_.at(cid); }
    Cid make(size_t depth) {
      Node node;
      if (depth > 0) node.links.push_back({make(depth - 1), "", 0});
      for (uint64_t i = 0; i < 40'000; ++i) {
        const uint8_t digest[8] = {static_cast<uint8_t>(depth),
                                   static_cast<uint8_t>(i),
                                   static_cast<uint8_t>(i >> 8),
                                   static_cast<uint8_t>(i >> 16),
                                   0,
                                   0,
                                   0,
                                   0};
        node.links.push_back({Cid::v1(Codec::kRaw, Multihash(HashCode::kIdentity, digest)), "", 0});
      }
      const Bytes block = encode_dag_pb(node);
      const Cid cid = Cid::v0(Multihash::of(HashCode::kSha2_256, block));
      made_.emplace(cid, block);
      return cid;
    }

   private:
    std::map<Cid, Bytes> made_;
  } wide;
  const Cid top = wide.make(30);
  try {
    walk(wide, top, sink);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kResourceExhausted);
  }
}
