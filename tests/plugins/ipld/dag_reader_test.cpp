// The reader: every layout of a file, ranges, read-ahead, and blocks that lie.
#include "ipld/dag_reader.hpp"

#include <catch2/catch.hpp>

#include "ipcs/error.hpp"
#include "ipld/dag_builder.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"
#include "plugins/ipld/samples.hpp"

using namespace ipcs::ipld;
using namespace ipcs::ipld::samples;
using Catch::Contains;
using ipcs::Code;
using ipcs::Error;

namespace {

// Notes what is fetched and what is asked for ahead.
class Watched final : public BlockSource {
 public:
  explicit Watched(BlockSource& below) : below_(below) {}
  Bytes get(const Cid& cid) override {
    fetched.push_back(cid);
    return below_.get(cid);
  }
  void want(std::span<const Cid> cids) override { wanted.insert(wanted.end(), cids.begin(), cids.end()); }

  std::vector<Cid> fetched, wanted;

 private:
  BlockSource& below_;
};

Bytes read_all(DagReader& reader, size_t step) {
  Bytes bytes;
  for (uint64_t at = 0;; at = bytes.size()) {
    Bytes piece(step);
    const size_t count = reader.read_at(at, piece);
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
    if (count < step) return bytes;
  }
}

Profile small(size_t chunk, size_t links, bool raw) {
  Profile profile = named_profile(raw ? "cid-version=1" : "default");
  profile.chunker = "size-" + std::to_string(chunk);
  profile.max_links = links;
  return profile;
}

Cid put(Blockstore& store, const Node& node) {
  const Bytes block = encode_dag_pb(node);
  const Cid cid = Cid::v0(Multihash::of(HashCode::kSha2_256, block));
  store.put(cid, block);
  return cid;
}

Cid put_raw(Blockstore& store, BytesView bytes) {
  const Cid cid = Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, bytes));
  store.put(cid, bytes);
  return cid;
}

// A file node with these children and these claims.
Cid put_file(Blockstore& store, const std::vector<Cid>& children, std::vector<uint64_t> sizes,
             std::optional<uint64_t> file_size, std::optional<Bytes> data = {}) {
  Unixfs unixfs;
  unixfs.block_sizes = std::move(sizes);
  unixfs.file_size = file_size;
  unixfs.data = std::move(data);
  Node node;
  for (const Cid& child : children) node.links.push_back({child, "", 1});
  node.data = unixfs.encode();
  return put(store, node);
}

// What a read of the whole file ends with.
std::string complaint(BlockSource& store, const Cid& root, Code code) {
  try {
    DagReader reader(store, root);
    read_all(reader, 1000);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "nothing";
}

Bytes text(std::string_view bytes) {
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace

TEST_CASE("a file is read as it was built, in steps of any size") {
  for (const bool raw : {false, true}) {
    for (const size_t size : {0, 1, 99, 100, 101, 300, 301, 900, 2701, 10000}) {
      INFO(size << " bytes, raw leaves " << raw);
      const Bytes bytes = noise(size, 7);
      MemoryBlockstore store;
      const Subtree root = build(small(100, 3, raw), bytes, store);
      DagReader reader(store, root.cid);
      CHECK(reader.size() == size);
      for (const size_t step : {1, 7, 100, 1000, 100000}) CHECK(read_all(reader, step) == bytes);
    }
  }
}

TEST_CASE("any range at any time") {
  const Bytes bytes = noise(5000, 3);
  MemoryBlockstore store;
  DagReader reader(store, build(small(64, 4, false), bytes, store).cid);
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t offset = random.below(5200);
    Bytes out(random.below(700));
    const size_t want = offset >= bytes.size() ? 0 : std::min<size_t>(out.size(), bytes.size() - offset);
    REQUIRE(reader.read_at(offset, out) == want);
    REQUIRE(std::equal(out.begin(), out.begin() + static_cast<ptrdiff_t>(want),
                       bytes.begin() + static_cast<ptrdiff_t>(want > 0 ? offset : 0)));
  }
}

TEST_CASE("a range fetches its own blocks and no others, and each once") {
  const Bytes bytes = noise(100 * 81, 3);
  MemoryBlockstore store;
  const Cid root = build(small(100, 3, true), bytes, store).cid;  // four levels of inner nodes
  Watched source(store);
  DagReader reader(source, root);
  CHECK(source.fetched.size() == 1);
  Bytes out(250);
  reader.read_at(4050, out);  // leaves 40 to 42: the second of its parent, the third, and one below another parent
  CHECK(source.fetched.size() == 1 + 3 + 3 + 1);
  for (const Cid& cid : source.wanted) CHECK(std::count(source.fetched.begin(), source.fetched.end(), cid) == 1);
  const size_t before = source.fetched.size();
  reader.read_at(4210, std::span(out).first(80));  // the leaf at hand
  CHECK(source.fetched.size() == before);
  reader.read_at(4000, std::span(out).first(50));  // its parent is remembered
  CHECK(source.fetched.size() == before + 1);
}

TEST_CASE("one who reads on gets read-ahead that grows, and every leaf is asked for once") {
  const Bytes bytes = noise(100 * 300, 3);
  MemoryBlockstore store;
  const Cid root = build(small(100, 30, true), bytes, store).cid;
  Watched source(store);
  DagReader reader(source, root, 4000);
  Bytes out(50);
  size_t most = 0;
  for (uint64_t at = 0; at < bytes.size(); at += out.size()) {
    reader.read_at(at, out);
    if (at == 0) CHECK(source.wanted.size() <= 2);
    most = std::max(most, source.wanted.size() - std::min(source.wanted.size(), source.fetched.size()));
  }
  CHECK(most >= 20);
  CHECK(most <= 45);
  std::vector<Cid> wanted = source.wanted, fetched = source.fetched;
  std::sort(wanted.begin(), wanted.end());
  CHECK(std::adjacent_find(wanted.begin(), wanted.end()) == wanted.end());
  std::sort(fetched.begin(), fetched.end());
  CHECK(std::adjacent_find(fetched.begin(), fetched.end()) == fetched.end());
  CHECK(std::includes(fetched.begin(), fetched.end(), wanted.begin(), wanted.end()));

  Watched quiet(store);
  DagReader without(quiet, root, 0);
  CHECK(read_all(without, 50) == bytes);
  CHECK(quiet.wanted.size() < 400);
}

TEST_CASE("blocks of any sizes, bytes in inner nodes, empty children, blocks in their CID") {
  MemoryBlockstore store;
  const Cid abc = put_raw(store, text("abc"));
  const Cid nothing = put_raw(store, {});
  const Cid in_cid = Cid::v1(Codec::kRaw, Multihash(HashCode::kIdentity, text("inside")));
  const Cid leaf = put_file(store, {}, {}, 4, text("leaf"));
  const Cid inner = put_file(store, {abc, nothing, leaf}, {3, 0, 4}, 9, text("IN"));
  const Cid root = put_file(store, {nothing, inner, in_cid, abc}, {0, 9, 6, 3}, std::nullopt, text("ROOT"));
  DagReader reader(store, root);
  CHECK(as_text(read_all(reader, 5)) == "ROOTINabcleafinsideabc");
  for (uint64_t at = 0; at <= reader.size(); ++at) {
    Bytes out(3);
    const size_t count = reader.read_at(at, out);
    CHECK(as_text(BytesView(out).first(count)) == std::string_view("ROOTINabcleafinsideabc").substr(at, 3));
  }
  DagReader alone(store, in_cid);
  CHECK(as_text(read_all(alone, 100)) == "inside");
}

TEST_CASE("false sizes are found, with the block that lies named") {
  MemoryBlockstore store;
  const Cid abc = put_raw(store, text("abc"));
  const auto lie = [&](const Cid& root, Code code = Code::kDataLoss) {
    const std::string said = complaint(store, root, code);
    CHECK_THAT(said, Contains(root.to_string()));
    CHECK(said.find('\n') == std::string::npos);
    return said;
  };
  CHECK_THAT(lie(put_file(store, {abc}, {3}, 4)), Contains("4 bytes of the file, its parts have 3"));
  CHECK_THAT(lie(put_file(store, {abc}, {4}, 4)),
             Contains(abc.to_string()) && Contains("has 4 bytes") && Contains("has 3"));
  CHECK_THAT(lie(put_file(store, {abc}, {2}, 2)), Contains("has 2 bytes of the file, but that has 3"));
  CHECK_THAT(lie(put_file(store, {abc}, {}, 0)), Contains("0 block sizes for 1 links"));
  CHECK_THAT(lie(put_file(store, {}, {3}, 3)), Contains("1 block sizes for 0 links"));
  CHECK_THAT(lie(put_file(store, {abc, abc}, {uint64_t{1} << 62, uint64_t{1} << 62}, 0)), Contains("exceed 63 bits"));
  CHECK_THAT(lie(put_file(store, {}, {}, 5, text("leaf"))), Contains("5 bytes"));
  // A sparse giant of one leaf: its claims hold together, its child's do not.
  CHECK_THAT(lie(put_file(store, {abc}, {uint64_t{1} << 50}, uint64_t{1} << 50)), Contains("but that has 3"));
}

TEST_CASE("what is no file is refused at the root, and is damage below it") {
  MemoryBlockstore store;
  Unixfs directory;
  directory.type = UnixfsType::kDirectory;
  Node node;
  node.data = directory.encode();
  const Cid dir = put(store, node);
  const Cid bare = put(store, Node{});
  const Cid cbor = Cid::v1(Codec::kDagCbor, Multihash::of(HashCode::kSha2_256, text("\xa0")));
  store.put(cbor, text("\xa0"));
  CHECK_THAT(complaint(store, dir, Code::kFailedPrecondition), Contains("a UnixFS directory is no file"));
  CHECK_THAT(complaint(store, bare, Code::kFailedPrecondition), Contains("without UnixFS data"));
  CHECK_THAT(complaint(store, cbor, Code::kFailedPrecondition), Contains("codec 0x71"));
  for (const Cid& cid : {dir, bare, cbor})
    CHECK_THAT(complaint(store, put_file(store, {cid}, {1}, 1), Code::kDataLoss), Contains(cid.to_string()));
  Node garbage;
  garbage.data = text("no unixfs");
  CHECK_THAT(complaint(store, put(store, garbage), Code::kDataLoss), Contains("UnixFS: "));
}

TEST_CASE("blocks with other bytes, too many bytes, or none at all") {
  MemoryBlockstore store;
  const Bytes bytes = noise(1000, 5);
  const Cid root = build(small(100, 3, true), bytes, store).cid;

  class Tampered final : public BlockSource {
   public:
    Tampered(BlockSource& below, size_t at) : below_(below), at_(at) {}
    Bytes get(const Cid& cid) override {
      Bytes block = below_.get(cid);
      if (count_++ == at_) block[block.size() / 2] ^= 1;
      return block;
    }

   private:
    BlockSource& below_;
    size_t at_, count_ = 0;
  };
  for (size_t at = 0; at < 16; ++at) {
    Tampered source(store, at);
    CHECK_THAT(complaint(source, root, Code::kDataLoss), Contains("have another hash"));
  }

  const Bytes large = noise(kMaxBlockSize + 1, 1);
  CHECK_THAT(complaint(store, put_raw(store, large), Code::kDataLoss), Contains("more than a block has"));
  const Cid most = put_raw(store, BytesView(large).first(kMaxBlockSize));
  CHECK(DagReader(store, most).size() == kMaxBlockSize);

  const Cid absent = Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, text("absent")));
  CHECK_THAT(complaint(store, put_file(store, {absent}, {6}, 6), Code::kNotFound), Contains(absent.to_string()));
  const Cid strange = Cid::v1(Codec::kRaw, Multihash(static_cast<HashCode>(0x1e), Bytes(32, 1)));
  class Anything final : public BlockSource {
    Bytes get(const Cid&) override { return Bytes(3, 3); }
  } anything;
  CHECK_THAT(complaint(anything, strange, Code::kUnimplemented), Contains("0x1e"));
}

TEST_CASE("a read that failed does no harm to the next") {
  MemoryBlockstore store;
  const Bytes bytes = noise(1000, 5);
  const Cid root = build(small(100, 3, true), bytes, store).cid;
  const Cid missing = Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, BytesView(bytes).subspan(400, 100)));
  store.remove(missing);
  DagReader reader(store, root);
  Bytes out(1000);
  CHECK_THROWS_AS(reader.read_at(0, out), Error);
  CHECK(reader.read_at(0, std::span(out).first(400)) == 400);
  CHECK(reader.read_at(500, std::span(out).subspan(500)) == 500);
  store.put(missing, BytesView(bytes).subspan(400, 100));
  CHECK(reader.read_at(400, std::span(out).subspan(400, 100)) == 100);
  CHECK(out == bytes);
}

TEST_CASE("depth and number of links have limits") {
  MemoryBlockstore store;
  const auto chain = [&](size_t nodes) {
    Cid top = put_raw(store, text("x"));
    for (size_t i = 0; i < nodes; ++i) top = put_file(store, {top}, {1}, 1);
    return top;
  };
  DagReader deep(store, chain(kMaxDepth - 1));
  Bytes out(1);
  CHECK(deep.read_at(0, out) == 1);
  CHECK_THAT(complaint(store, chain(kMaxDepth), Code::kDataLoss), Contains("more than 64 nodes below the root"));

  // A node of more links than are allowed, as small as links can be: the CID of an empty identity.
  const Cid tiny = Cid::v1(Codec::kRaw, Multihash(HashCode::kIdentity, {}));
  Node node;
  node.links.assign(kMaxLinks + 1, Link{tiny, "", 0});
  node.data = Unixfs{}.encode();
  CHECK_THAT(complaint(store, put(store, node), Code::kDataLoss), Contains("more than 65536 links"));
}

namespace {

// Has the file's bytes at hand, too, right or with a bit turned in some leaves.
class Streaming final : public BlockSource {
 public:
  Streaming(BlockSource& below, BytesView bytes) : below_(below), bytes_(bytes) {}
  Bytes get(const Cid& cid) override {
    ++fetched;
    return below_.get(cid);
  }
  bool streams() const noexcept override { return true; }
  std::optional<Bytes> file_bytes(const Cid&, uint64_t offset, uint64_t size) override {
    ++streamed;
    Bytes bytes(bytes_.begin() + static_cast<ptrdiff_t>(offset), bytes_.begin() + static_cast<ptrdiff_t>(offset + size));
    if (lies) bytes[size / 2] ^= 1;
    return bytes;
  }
  size_t fetched = 0, streamed = 0;
  bool lies = false;

 private:
  BlockSource& below_;
  const BytesView bytes_;
};

}  // namespace

TEST_CASE("one who reads on takes the file's bytes, and believes none that do not make the leaf") {
  const Bytes bytes = noise(6'000'000, 77);
  for (const bool raw : {false, true}) {
    MemoryBlockstore store;
    DagBuilder builder(small(65536, 32, raw), store);
    builder.append(bytes);
    const Cid root = builder.finish().cid;
    const size_t leaves = builder.leaves();
    Streaming honest(store, bytes);
    DagReader reader(honest, root);
    CHECK(read_all(reader, 32 << 10) == bytes);
    CHECK(honest.streamed > leaves / 2);
    CHECK(honest.fetched < leaves / 2);
    Streaming liar(store, bytes);
    liar.lies = true;
    DagReader wary(liar, root);
    CHECK(read_all(wary, 32 << 10) == bytes);
    CHECK(liar.streamed > leaves / 2);
    CHECK(liar.fetched > leaves);
  }
}
