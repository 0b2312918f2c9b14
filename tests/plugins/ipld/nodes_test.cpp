// dag-pb and UnixFS messages: written as Kubo writes them, read strictly.
#include <catch2/catch.hpp>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"
#include "plugins/ipld/samples.hpp"

using namespace ipcs::ipld;
using namespace ipcs::ipld::samples;
using Catch::Contains;
using ipcs::Code;
using ipcs::Error;

namespace {

template <class Work>
std::string refusal(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

std::string dag_pb_refusal(std::string_view text) {
  return refusal([&] { decode_dag_pb(unhex(text)); });
}
std::string unixfs_refusal(std::string_view text) {
  return refusal([&] { Unixfs::decode(unhex(text)); });
}

const std::string kCid = "01550000";  // an empty identity
const std::string kLink =
    "12"
    "0a"
    "0a04" +
    kCid +
    "1200"
    "1807";  // hash, empty name, tsize 7

}  // namespace

TEST_CASE("dag-pb: known nodes") {
  CHECK(encode_dag_pb(Node{}).empty());
  CHECK(decode_dag_pb({}).links.empty());
  CHECK_FALSE(decode_dag_pb({}).data);
  Node node;
  node.links.push_back({Cid::parse("bafkqaaa"), "", 7});
  node.data = Bytes{1, 2};
  CHECK(hex(encode_dag_pb(node)) == kLink + "0a020102");

  // Links before the data and behind it; a link without name and size; an empty data is not no data.
  for (const std::string& text : {kLink + "0a020102", "0a020102" + kLink}) {
    const Node read = decode_dag_pb(unhex(text));
    REQUIRE(read.links.size() == 1);
    CHECK(read.links[0].tsize == 7);
    CHECK(read.data == Bytes{1, 2});
  }
  const Node bare = decode_dag_pb(unhex("12060a04" + kCid));
  CHECK(bare.links.at(0).name.empty());
  CHECK(bare.links.at(0).tsize == 0);
  CHECK(decode_dag_pb(unhex("0a00")).data == Bytes());
}

TEST_CASE("dag-pb: what the specification forbids") {
  CHECK_THAT(dag_pb_refusal("0a000a00"), Contains("twice"));
  CHECK_THAT(dag_pb_refusal(kLink + "0a00" + kLink), Contains("before and behind"));
  CHECK_THAT(dag_pb_refusal("1200"), Contains("no hash"));
  CHECK_THAT(dag_pb_refusal("12021200"), Contains("no hash"));
  CHECK_THAT(dag_pb_refusal("120812000a04" + kCid), Contains("out of order"));
  CHECK_THAT(dag_pb_refusal("120c0a04" + kCid + "0a04" + kCid), Contains("out of order"));
  CHECK_THAT(dag_pb_refusal("12080a04" + kCid + "2000"), Contains("unknown field 4"));
  CHECK_THAT(dag_pb_refusal("1a00"), Contains("unknown field 3"));
  CHECK_THAT(dag_pb_refusal("0800"), Contains("wire type"));
  CHECK_THAT(dag_pb_refusal("12020801"), Contains("wire type"));
  CHECK_THAT(dag_pb_refusal("12070a05" + kCid + "00"), Contains("too many"));
  CHECK_THAT(dag_pb_refusal("12030a0101"), Contains("CID"));
  CHECK_THAT(dag_pb_refusal("0a"), Contains("cut off"));
  CHECK_THAT(dag_pb_refusal("0a05ff"), Contains("5 bytes where 1 are left"));
  CHECK_THAT(dag_pb_refusal("0affffffffffffffffff01"), Contains("bytes where"));
  CHECK_THAT(dag_pb_refusal("0affffffffffffffffff02"), Contains("64 bits"));
  CHECK_THAT(dag_pb_refusal("0b00"), Contains("wire type 3"));
  CHECK_THAT(dag_pb_refusal("0200"), Contains("field number 0"));
  CHECK_THAT(refusal([] { decode_dag_pb(Bytes(kMaxBlockSize + 1)); }), Contains("a block of 2097153 bytes"));
  const Bytes whole = unhex(kLink + "0a020102");
  const std::vector<size_t> ends{0, 12, 16};
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string said = refusal([&] { decode_dag_pb(BytesView(whole).first(size)); });
    CHECK((said == "accepted") == (std::find(ends.begin(), ends.end(), size) != ends.end()));
  }
}

TEST_CASE("UnixFS: known messages") {
  Unixfs file;
  file.file_size = 0;
  CHECK(hex(file.encode()) == "08021800");
  Unixfs directory;
  directory.type = UnixfsType::kDirectory;
  CHECK(hex(directory.encode()) == "0801");
  Unixfs inner;
  inner.file_size = 300;
  inner.block_sizes = {200, 100};
  CHECK(hex(inner.encode()) == "080218ac0220c8012064");
  const Unixfs read = Unixfs::decode(inner.encode());
  CHECK(read.block_sizes == inner.block_sizes);
  CHECK(read.file_size == 300);
  CHECK_FALSE(read.data);
  CHECK(Unixfs::decode(unhex("08022203c80164")).block_sizes == inner.block_sizes);  // packed
  CHECK(Unixfs::decode(unhex("0802"
                             "4a02"
                             "0801"
                             "f80101"
                             "fd0100000000"
                             "f9010000000000000000"))
            .type == UnixfsType::kFile);  // unknown fields
  Unixfs shard;
  shard.type = UnixfsType::kHamtShard;
  shard.data = Bytes{1};
  shard.hash_type = 0x22;
  shard.fanout = 256;
  shard.mode = 0644;
  CHECK(hex(shard.encode()) ==
        "08051201012822308002"
        "38a403");
  CHECK(Unixfs::decode(shard.encode()).mode == 0644);
  for (const size_t size : {0, 1, 127, 128, 262144, 2096896}) {
    const LeafFrame frame = leaf_frame(size);
    const Bytes bytes = noise(size, 9);
    Bytes block = frame.before;
    block.insert(block.end(), bytes.begin(), bytes.end());
    block.insert(block.end(), frame.behind.begin(), frame.behind.end());
    const Unixfs leaf = Unixfs::decode(*decode_dag_pb(block).data);
    CHECK(leaf.data.value_or(Bytes()) == bytes);
    CHECK(leaf.data.has_value() == (size > 0));
    CHECK(leaf.file_size == size);
  }
}

TEST_CASE("UnixFS: what can't be read") {
  CHECK_THAT(unixfs_refusal(""), Contains("no type"));
  CHECK_THAT(unixfs_refusal("1800"), Contains("no type"));
  CHECK_THAT(unixfs_refusal("0806"), Contains("unknown type 6"));
  CHECK_THAT(unixfs_refusal("0a00"), Contains("wire type"));
  CHECK_THAT(unixfs_refusal("08021201"), Contains("bytes where"));
  CHECK_THAT(unixfs_refusal("0802220180"), Contains("cut off"));
  CHECK_THAT(unixfs_refusal("08022500000000"), Contains("wire type 5"));
  Bytes many = unhex("0802");
  for (size_t i = 0; i <= kMaxLinks; ++i) many.insert(many.end(), {0x20, 0x01});
  CHECK_THAT(refusal([&] { Unixfs::decode(many); }), Contains("more than 65536"));
  CHECK(to_string(UnixfsType::kHamtShard) == "HAMT shard");
}
