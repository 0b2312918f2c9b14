// Varints, bases, multihashes and CIDs: published vectors, and everything that is none.
#include <catch2/catch.hpp>
#include <unordered_set>

#include "ipcs/error.hpp"
#include "ipld/cid.hpp"
#include "ipld/varint.hpp"
#include "plugins/ipld/samples.hpp"

using namespace ipcs::ipld;
using namespace ipcs::ipld::samples;
using Catch::Contains;
using ipcs::Code;
using ipcs::Error;

namespace {

template <class Work>
std::string refusal(const Work& work, Code code = Code::kInvalidArgument) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    CHECK(std::string_view(error.what()).size() < 400);
    CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("varints of the multiformats specification") {
  const std::pair<uint64_t, const char*> known[] = {
      {0, "00"},     {1, "01"},     {127, "7f"},       {128, "8001"},
      {255, "ff01"}, {300, "ac02"}, {16384, "808001"}, {kMaxVarint, "ffffffffffffffff7f"}};
  for (const auto& [value, text] : known) {
    Bytes out;
    append_varint(out, value);
    CHECK(hex(out) == text);
    CHECK(varint_size(value) == out.size());
    out.push_back(0xff);  // what follows does not matter
    const VarintResult read = read_varint(out);
    CHECK(read.value == value);
    CHECK(read.size == out.size() - 1);
  }
  Bytes out;
  CHECK_THAT(refusal([&] { append_varint(out, kMaxVarint + 1); }), Contains("9223372036854775808"));
  const std::pair<const char*, VarintProblem> bad[] = {{"", VarintProblem::kCut},
                                                       {"80", VarintProblem::kCut},
                                                       {"ffffffff", VarintProblem::kCut},
                                                       {"8000", VarintProblem::kNotMinimal},
                                                       {"ff00", VarintProblem::kNotMinimal},
                                                       {"808000", VarintProblem::kNotMinimal},
                                                       {"ffffffffffffffffff01", VarintProblem::kTooLong},
                                                       {"80808080808080808001", VarintProblem::kTooLong}};
  for (const auto& [text, problem] : bad) {
    const Bytes bytes = unhex(text);
    CHECK(read_varint(bytes).size == 0);
    CHECK(read_varint(bytes).problem == problem);
    BytesView view = bytes;
    CHECK_THAT(refusal([&] { take_varint(view, "it"); }), Contains("it: "));
  }
}

TEST_CASE("multibase vectors") {
  // github.com/multiformats/multibase, tests/basic.csv and leading_zero.csv
  const std::pair<Base, const char*> known[] = {{Base::kBase16, "f796573206d616e692021"},
                                                {Base::kBase32, "bpfsxgidnmfxgsibb"},
                                                {Base::kBase36, "k2lcpzo5yikidynfl"},
                                                {Base::kBase58Btc, "z7paNL19xttacUY"}};
  for (const auto& [base, text] : known) {
    CHECK(encode_multibase(base, as_bytes("yes mani !")) == text);
    CHECK(as_text(decode_multibase(text)) == "yes mani !");
  }
  const Bytes zeros = unhex("0000796573206d616e692021");
  for (const char* text :
       {"f0000796573206d616e692021", "baaahszltebwwc3tjeaqq", "k002lcpzo5yikidynfl", "z117paNL19xttacUY"}) {
    CHECK(decode_multibase(text) == zeros);
    CHECK(encode_multibase(static_cast<Base>(text[0]), zeros) == text);
  }
  CHECK(as_text(decode_multibase("F796573206D616E692021")) == "yes mani !");
  CHECK(as_text(decode_multibase("BPFSXGIDNMFXGSIBB")) == "yes mani !");
  CHECK(as_text(decode_multibase("K2LCPZO5YIKIDYNFL")) == "yes mani !");
}

TEST_CASE("bases give back any bytes") {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    Bytes bytes = noise(random.below(80), i);
    if (i % 3 == 0) std::fill_n(bytes.begin(), std::min<size_t>(bytes.size(), 3), 0);
    for (const Base base : {Base::kBase16, Base::kBase32, Base::kBase36, Base::kBase58Btc})
      CHECK(decode_multibase(encode_multibase(base, bytes)) == bytes);
    CHECK(decode_base58(encode_base58(bytes)) == bytes);
  }
}

TEST_CASE("text that is no multibase") {
  for (const char* text : {"",   "m",   "uAQ",   "1",    "z0", "zO", "zI",  "zl",  "z ", "b1",  "b=",
                           "ba", "bab", "baaa=", "BPFs", "fg", "f0", "fA0", "Ff0", "k-", "K2l", "z\n"})
    CHECK(refusal([&] { decode_multibase(text); }) != "accepted");
  CHECK_THAT(refusal([&] { decode_multibase(std::string(kMaxMultibaseSize + 1, 'z')); }), Contains("longer than"));
  CHECK(decode_multibase(std::string(kMaxMultibaseSize, 'z')).size() > 700);
  CHECK(parse_base("base36") == Base::kBase36);
  CHECK_THAT(refusal([] { parse_base("base64"); }), Contains("base64"));
}

TEST_CASE("multihashes") {
  const Bytes hello(as_bytes("hello\n").begin(), as_bytes("hello\n").end());
  const Multihash sha256 = Multihash::of(HashCode::kSha2_256, hello);
  CHECK(hex(sha256.bytes()) == "12205891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  const Multihash sha512 = Multihash::of(HashCode::kSha2_512, hello);
  CHECK(sha512.digest().size() == 64);
  const Multihash identity = Multihash::of(HashCode::kIdentity, hello);
  CHECK(hex(identity.bytes()) == "000668656c6c6f0a");
  for (const Multihash& hash : {sha256, sha512, identity}) {
    const Bytes bytes = hash.bytes();
    BytesView view = bytes;
    CHECK(Multihash::take(view) == hash);
    CHECK(view.empty());
    CHECK(hash.matches(hello));
    CHECK_FALSE(hash.matches(BytesView(hello).first(5)));
    CHECK(parse_hash_code(to_string(hash.code())) == hash.code());
    for (size_t size = 0; size < bytes.size(); ++size) {
      BytesView cut = BytesView(bytes).first(size);
      CHECK(refusal([&] { Multihash::take(cut); }) != "accepted");
    }
  }
  CHECK(sha256 != sha512);
  CHECK((sha256 <=> sha512) == std::strong_ordering::less);
  CHECK(Multihash(HashCode::kIdentity, unhex("00")) > Multihash(HashCode::kIdentity, {}));

  // Unknown functions can be carried, not computed.
  const Multihash blake3(static_cast<HashCode>(0x1e), Bytes(32, 7));
  const Bytes bytes = blake3.bytes();
  BytesView view = bytes;
  CHECK(Multihash::take(view) == blake3);
  CHECK_THAT(refusal([&] { (void)blake3.matches(hello); }, Code::kUnimplemented), Contains("0x1e"));
  // Sizes: of known functions exactly, of all at most 128.
  for (const char* text : {"1200", "121f", "1340"}) {
    Bytes wrong = unhex(text);
    wrong.resize(wrong.size() + 31, 1);
    view = wrong;
    CHECK(refusal([&] { Multihash::take(view); }) != "accepted");
  }
  CHECK_THAT(refusal([] { Multihash(HashCode::kIdentity, Bytes(129)); }), Contains("129"));
  CHECK_THAT(refusal([] { parse_hash_code("sha1"); }), Contains("sha1"));
}

TEST_CASE("CIDs in all their texts, as Kubo writes them") {
  const Cid v1 = Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_256, as_bytes("hello\n")));
  const std::pair<Base, const char*> texts[] = {
      {Base::kBase32, "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"},
      {Base::kBase36, "k2cwueauvgmc6rw8ig81z29umtmqnpp03zegve90cilqk5kod5v00g77"},
      {Base::kBase58Btc, "zb2rhcc1wJn2GHDLT2YkmPq5b69cXc2xfRZZmyufbjFUfBkxr"},
      {Base::kBase16, "f015512205891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}};
  for (const auto& [base, text] : texts) {
    CHECK(v1.to_string(base) == text);
    CHECK(Cid::parse(text) == v1);
  }
  CHECK(v1.to_string() == texts[0].second);
  CHECK(v1.codec() == Codec::kRaw);
  CHECK(v1.version() == 1);
  CHECK(v1.bytes().size() == v1.byte_size());
  CHECK(Cid::from_bytes(v1.bytes()) == v1);

  const Cid v0 = Cid::parse("QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN");
  CHECK(v0.version() == 0);
  CHECK(v0.codec() == Codec::kDagPb);
  CHECK(v0.to_string() == "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN");
  CHECK(v0.to_string(Base::kBase16) == v0.to_string());
  CHECK(v0.byte_size() == 34);
  CHECK(Cid::from_bytes(v0.bytes()) == v0);
  CHECK(v0.to_v1() != v0);
  CHECK(v0.to_v1().hash() == v0.hash());
  CHECK(v0.to_v1().to_string().starts_with("bafybei"));
  CHECK(Cid::parse("bafkrgqhhyivzstcz3hhswshfjgy6ertgmnqeleynhwt4dlfsthi4hn7zgh4uvlsb5xncykzapi3ocd4lzogukir6ksdy6wzrnz"
                   "6ohnv4aglcs") == Cid::v1(Codec::kRaw, Multihash::of(HashCode::kSha2_512, as_bytes("hello\n"))));
  CHECK(Cid::parse("bafkqaaa") == Cid::v1(Codec::kRaw, Multihash(HashCode::kIdentity, {})));  // the probe of gateways
  CHECK(std::unordered_set<Cid>{v0, v0.to_v1(), v1, v0}.size() == 3);
  CHECK(v0 < v1);
}

TEST_CASE("what is no CID") {
  const std::string v0 = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN";
  const std::string v1 = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
  const Bytes v1_bytes = Cid::parse(v1).bytes(), v0_bytes = Cid::parse(v0).bytes();
  std::vector<std::string> bad{"",
                               "Qm",
                               "b",
                               "f",
                               "z",
                               v0 + "a",
                               v0.substr(1),
                               v0.substr(0, 45),
                               v1 + "a",
                               v1.substr(0, 58),
                               "/ipfs/" + v1,
                               v1 + "/",
                               " " + v1,
                               v1 + "\n",
                               "ipfs://" + v1,
                               encode_multibase(Base::kBase58Btc, v0_bytes),
                               encode_multibase(Base::kBase32, v0_bytes),
                               "f" + hex(v1_bytes) + "00",
                               "f02" + hex(v1_bytes).substr(2),
                               "f00" + hex(v1_bytes).substr(2),
                               "f8100" + hex(v1_bytes).substr(2),
                               std::string(100'000, 'b'),
                               "Qm" + std::string(44, '0')};
  for (size_t size = 0; size < v1_bytes.size(); ++size) bad.push_back("f" + hex(BytesView(v1_bytes).first(size)));
  for (const std::string& text : bad) {
    INFO(text.substr(0, 100));
    CHECK_FALSE(Cid::try_parse(text));
    CHECK_THAT(refusal([&] { Cid::parse(text); }), Contains("is not a CID"));
  }
  for (size_t size = 0; size < v0_bytes.size(); ++size)
    CHECK(refusal([&] { Cid::from_bytes(BytesView(v0_bytes).first(size)); }) != "accepted");
  CHECK_THAT(refusal([] { Cid::v0(Multihash::of(HashCode::kSha2_512, {})); }), Contains("sha2-512"));
}
