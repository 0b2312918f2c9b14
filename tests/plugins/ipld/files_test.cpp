// Builders of files and directories: Kubo's CIDs, whatever the pieces; chunkers.
#include <catch2/catch.hpp>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/directory.hpp"
#include "ipld/fastcdc.hpp"
#include "ipld/hamt.hpp"
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
    return error.what();
  }
  return "accepted";
}

Profile changed(std::string_view name, const std::string& chunker, size_t links) {
  Profile profile = named_profile(name);
  profile.chunker = chunker;
  profile.max_links = links;
  return profile;
}

struct Golden {
  size_t size;  // of noise with seed 1
  const char* kinds[5];
};

// Printed by Kubo 0.43.1.
constexpr Golden kGolden[] = {
    {0,
     {"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
      "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
      "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"}},
    {1,
     {"QmXEbKxz33Vef346duiFgZyu3NdULKxmNwehuoT9BiY5Ly", "bafkreigrxpltxmersc73rayfm5y6eluzova62iahs6j36m4xl7qwkrmbym",
      "bafkreigrxpltxmersc73rayfm5y6eluzova62iahs6j36m4xl7qwkrmbym",
      "bafkreigrxpltxmersc73rayfm5y6eluzova62iahs6j36m4xl7qwkrmbym", "QmXEbKxz33Vef346duiFgZyu3NdULKxmNwehuoT9BiY5Ly"}},
    {262144,
     {"QmWLpknGZZhCoh4QPTmUrGBCddykwfV6w8y3DCZ3dSmTRB", "bafkreidwnp6njwpai3g3lve5fajwlp7brx4pwusmxiqqdnjv2dkoxsqzve",
      "bafkreidwnp6njwpai3g3lve5fajwlp7brx4pwusmxiqqdnjv2dkoxsqzve",
      "bafkreidwnp6njwpai3g3lve5fajwlp7brx4pwusmxiqqdnjv2dkoxsqzve", "QmUn4dDrL7ir6M6j8vas8ReZTook3j82KEwtDuqcUKsJfr"}},
    {262145,
     {"Qman3sWRhmWZAVTqFKfLyHFTRVUxzJE8g2XEpYL1s3nmHQ", "bafybeie75w3dd4sngh56jvez4fssvrpomjl7x5ynsmzrl4aggfx7l627hm",
      "QmZ6wmS9nTYfQGp9ystsyVVzMaC5ftkGTRaU4GNkgr28G2", "bafkreial2zuroy4r2rhpvtfcbuyaskdlbtliqfaga7eqrtifqu2zsb4mnm",
      "QmbHgndnEuEys5ov3kxPT7AT4pD4XeQ2KVzdmgaa9MqSDk"}},
    {5000000,
     {"Qma4ViQQLUvWhjcgZL6jgJQnKH97achpof3Gs5yMhRe4H7", "bafybeib2hyvpl5qke3wgw67llgrg7rnwc36z65moizlzjsyzchgvldpviu",
      "QmSG1LXjbme463ahEHaQZrHQqB8uRWpm8wVpjYj9Xu1i3E", "bafybeifvrkv6nnzqfldomloo7ntw4zpedm2ttyqzkarlsv46bzdb2dfhr4",
      "QmYnbeYF9SLprJohrbvxkVzKSE59JfwtpjxS5mMXuhKrYQ"}},
};

std::vector<Profile> golden_profiles() {
  Profile raw_v0;
  raw_v0.raw_leaves = true;
  return {Profile{}, named_profile("cid-version=1"), raw_v0, named_profile("unixfs-v1-2025"),
          changed("default", "size-1000", 3)};
}

// Lengths of the chunks of `bytes` when they arrive in pieces.
std::vector<size_t> cuts(const Profile& profile, BytesView bytes, size_t most, uint64_t seed) {
  std::vector<size_t> lengths;
  BlockCallback sink([&](const Cid& cid, BytesView block) {
    if (cid.codec() == Codec::kRaw) lengths.push_back(block.size());
  });
  DagBuilder builder(profile, sink);
  in_pieces(bytes, most, seed, [&](BytesView piece) { builder.append(piece); });
  builder.finish();
  return lengths;
}

std::string directory_refusal(std::vector<DirectoryEntry> entries) {
  NoBlocks nowhere;
  return refusal([&] { make_directory(Profile{}, std::move(entries), nowhere); });
}

}  // namespace

TEST_CASE("files have the CIDs that Kubo gives them, in whatever pieces they come") {
  const Bytes bytes = noise(5000000, 1);
  for (const Golden& golden : kGolden) {
    const BytesView file = BytesView(bytes).first(golden.size);
    for (size_t kind = 0; kind < 5; ++kind) {
      INFO(golden.size << " bytes, kind " << kind);
      for (const size_t most : {size_t{1000}, size_t{300'000}, size_t{6'000'000}}) {
        for (const auto digest : {DagBuilder::Digest::kNo, DagBuilder::Digest::kSha256}) {
          MemoryBlockstore store;
          DagBuilder builder(golden_profiles()[kind], store, digest);
          in_pieces(file, most, kind, [&](BytesView piece) { builder.append(piece); });
          const Subtree root = builder.finish();
          CHECK(root.cid.to_string() == golden.kinds[kind]);
          CHECK(root.file_size == golden.size);
          CHECK(builder.size() == golden.size);
          CHECK(store.has(root.cid));
          if (digest == DagBuilder::Digest::kSha256) CHECK(builder.digest() == Sha256::of(file));
        }
      }
    }
  }
}

TEST_CASE("blocks come when they are complete, children before parents, the root last") {
  const Bytes bytes = noise(100 * 30 + 1, 2);
  std::vector<Block> blocks;
  BlockCallback sink([&](const Cid& cid, BytesView data) {
    verify(cid, data);
    blocks.push_back({cid, Bytes(data.begin(), data.end())});
  });
  Profile profile = changed("cid-version=1", "size-100", 3);
  DagBuilder builder(profile, sink);
  for (size_t i = 0; i < 30; ++i) {
    builder.append(BytesView(bytes).subspan(100 * i, 100));
    CHECK(builder.leaves() == i + 1);
    CHECK(blocks.size() == (i + 1) + (i + 1) / 3 + (i + 1) / 9 + (i + 1) / 27);
  }
  builder.append(BytesView(bytes).subspan(3000));
  const Subtree root = builder.finish();
  CHECK(blocks.back().cid == root.cid);
  uint64_t total = 0;
  for (const Block& block : blocks) total += block.data.size();
  CHECK(root.dag_size == total);
}

TEST_CASE("an error of the sink reaches the one who appends") {
  BlockCallback sink([](const Cid&, BytesView) { throw Error(Code::kResourceExhausted, "full"); });
  DagBuilder builder(changed("default", "size-10", 3), sink);
  builder.append(noise(9, 1));
  CHECK(refusal([&] { builder.append(noise(1, 1)); }, Code::kResourceExhausted) == "full");
}

TEST_CASE("small blocks can be held in their CIDs") {
  Profile profile = changed("cid-version=1", "size-10", 2);
  profile.inline_limit = 10;
  MemoryBlockstore store;
  const Subtree root = build(profile, noise(20, 1), store);
  CHECK(store.size() == 1);
  const Node node = decode_dag_pb(store.get(root.cid));
  CHECK(node.links.at(0).cid.hash().code() == HashCode::kIdentity);
}

TEST_CASE("profiles refuse what does not fit, by name") {
  const auto with = [](const auto& change) {
    Profile profile;
    change(profile);
    return refusal([&] { profile.validate(); });
  };
  CHECK(with([](Profile&) {}) == "accepted");
  CHECK_THAT(with([](Profile& p) { p.cid_version = 2; }), Contains("CID version 2"));
  CHECK_THAT(with([](Profile& p) { p.hash = HashCode::kSha2_512; }), Contains("sha2-512"));
  CHECK_THAT(with([](Profile& p) {
               p.hash = HashCode::kIdentity;
               p.cid_version = 1;
             }),
             Contains("identity"));
  CHECK_THAT(with([](Profile& p) { p.max_links = 1; }), Contains("1 links"));
  CHECK_THAT(with([](Profile& p) { p.max_links = 8193; }), Contains("8193 links"));
  CHECK_THAT(with([](Profile& p) { p.inline_limit = 129; }), Contains("129"));
  CHECK_THAT(with([](Profile& p) { p.chunker = std::string("other-1"); }), Contains("chunker \"other-1\""));
  CHECK_THAT(refusal([] { named_profile("v7"); }), Contains("\"v7\""));
  CHECK(named_profile("unixfs-v1-2025").max_links == 1024);
}

TEST_CASE("a node with as many links as are allowed fits into a block") {
  Profile profile = changed("cid-version=1", "size-1", 8192);
  profile.hash = HashCode::kSha2_512;
  size_t largest = 0;
  BlockCallback sink([&](const Cid&, BytesView block) { largest = std::max(largest, block.size()); });
  build(profile, noise(8192, 1), sink);
  CHECK(largest > 500'000);
  CHECK(largest < kMaxBlockSize / 2);
}

TEST_CASE("chunkers by name") {
  CHECK(make_chunker("size-1")->max_size() == 1);
  CHECK(make_chunker("size-2096896")->max_size() == kMaxChunk);
  CHECK(make_chunker("fastcdc-64-256-2096896")->max_size() == kMaxChunk);
  for (const char* text : {"",
                           "size",
                           "size-",
                           "size-0",
                           "size-2096897",
                           "size-1-2",
                           "size--1",
                           "size-+1",
                           "size- 1",
                           "size-1 ",
                           "size-99999999999999999999",
                           "size-0x10",
                           "sizes-1",
                           "Size-1",
                           "default",
                           "fastcdc",
                           "fastcdc-1",
                           "fastcdc-64-128",
                           "fastcdc-63-128-256",
                           "fastcdc-64-64-128",
                           "fastcdc-64-128-128",
                           "fastcdc-64-128-2096897",
                           "fastcdc-64-128-256-512",
                           "fastcdc-64-128-",
                           "tar-1",
                           "zstd"})
    CHECK_THAT(refusal([&] { make_chunker(text); }), Contains("chunker") || Contains("fastcdc wants"));
  for (const char* text : {"rabin", "rabin-16-32-64", "buzhash"})
    CHECK_THAT(refusal([&] { make_chunker(text); }, Code::kUnimplemented), Contains(text) && Contains("not offered"));
}

TEST_CASE("fastcdc cuts by content alone") {
  const Bytes bytes = noise(3'000'000, 7);
  const Profile profile = changed("cid-version=1", "fastcdc-2000-8000-32000", 174);
  const std::vector<size_t> lengths = cuts(profile, bytes, 4'000'000, 1);
  for (const size_t most : {700, 5000, 100'000}) CHECK(cuts(profile, bytes, most, most) == lengths);
  CHECK(lengths.size() > 250);
  CHECK(lengths.size() < 500);
  for (size_t i = 0; i + 1 < lengths.size(); ++i) {
    REQUIRE(lengths[i] > 2000);
    REQUIRE(lengths[i] <= 32000);
  }
  // The definition is final: published files hang on these.
  CHECK(std::vector<size_t>(lengths.begin(), lengths.begin() + 6) ==
        std::vector<size_t>{3598, 9153, 10949, 9178, 8231, 9025});

  // Bytes put in near the front move only the cuts near them.
  Bytes longer = noise(1000, 8);
  longer.insert(longer.begin(), bytes.begin(), bytes.begin() + 100'000);
  longer.insert(longer.end(), bytes.begin() + 100'000, bytes.end());
  const std::vector<size_t> moved = cuts(profile, longer, 4'000'000, 1);
  size_t same = 0;
  while (same < std::min(lengths.size(), moved.size()) &&
         lengths[lengths.size() - 1 - same] == moved[moved.size() - 1 - same])
    ++same;
  CHECK(same > lengths.size() * 9 / 10);

  // Bytes without any content are cut at the largest size.
  for (const size_t length : cuts(profile, Bytes(32000 * 4), 1'000'000, 1)) CHECK(length == 32000);
}

TEST_CASE("directories as Kubo makes them") {
  NoBlocks nowhere;
  CHECK(make_directory(Profile{}, {}, nowhere).cid.to_string() == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
  const Subtree hello = build(Profile{}, as_bytes("hello\n"), nowhere);
  CHECK(hello.cid.to_string() == "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN");
  MemoryBlockstore store;
  const Subtree directory = make_directory(Profile{}, {{"b", hello}, {"B", hello}, {"a", hello}}, store);
  const Node node = decode_dag_pb(store.get(directory.cid));
  REQUIRE(node.links.size() == 3);
  CHECK(node.links[0].name == "B");
  CHECK(node.links[2].name == "b");
  CHECK(directory.dag_size == 3 * hello.dag_size + store.get(directory.cid).size());
  CHECK(make_symlink(Profile{}, "target", nowhere).cid.to_string() == "QmbqcXVc1m3ptTWpceoVYfkn1gD6MRvjEFbVeMsBjSKQgT");
  CHECK_THAT(directory_refusal({{"a", hello}, {"a", hello}}), Contains("\"a\" stands there twice"));
  for (const char* name : {"", "a/b", "/"})
    CHECK_THAT(directory_refusal({{name, hello}}), Contains("can't be the name"));
  CHECK_THAT(directory_refusal({{std::string("a\0b", 3), hello}}), Contains("can't be the name"));
}

TEST_CASE("murmur3 x64 128, its first half") {
  CHECK(murmur3_64({}) == 0);
  CHECK(murmur3_64(as_bytes("hello")) == 0xcbd8a7b341bd9b02);
  CHECK(murmur3_64(as_bytes("The quick brown fox jumps over the lazy dog")) == 0xe34bbc7bbc071b6c);
}
