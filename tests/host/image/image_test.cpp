// Images rewritten, fetched and compared over a control socket.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "host/image/dag_store.hpp"
#include "host/image/index_of_two.hpp"
#include "host/image/tars.hpp"
#include "host/oci/sample.hpp"
#include "image/compare.hpp"
#include "image/p2p.hpp"
#include "image/published.hpp"
#include "image/rewrite.hpp"
#include "oci/image.hpp"
#include "oci/media_type.hpp"

using namespace ipcs;
using namespace ipcs::image;
using nlohmann::json;
using oci::PlatformChoice;
using test::add_index;
using test::brought;
using test::bytes_of;
using test::cid_text;
using test::digest_of;
using test::p2p_digest_of;
using Images = test::Images;
using Node = test::Node;
using Daemon = ipcs::image::Store;

TEST_CASE("p2p digests replace all others, and nothing else changes") {
  Node node;
  Images source;
  {
    Daemon store(node.peer, node.control, "test", node.call);
    const oci::Image image = brought(node, store, source);
    const Stored stored = rewrite(store, image, {}, node.call);
    REQUIRE(stored.image.nodes.size() == image.nodes.size());
    std::string index = image.root().manifest->bytes();
    for (size_t i = 0; i < image.nodes.size(); ++i) {
      const oci::Descriptor& before = image.nodes[i].descriptor;
      const oci::Descriptor& after = stored.image.nodes[i].descriptor;
      CHECK(after.media_type() == before.media_type());
      const std::string bytes = oci::read_whole(store, after, 1 << 20, node.call);
      CHECK(bytes.size() == after.size());
      CHECK(after.digest().to_string() == p2p_digest_of(bytes));
      CHECK(stored.blobs[i].digest == after.digest());
      if (!image.nodes[i].manifest) CHECK(before.size() == after.size());
      if (!image.nodes[i].manifest) CHECK(bytes == source.blobs.at(before.digest()));
      // sha256 digests have one length: the index is what it was but for them.
      if (const size_t at = index.find(before.digest().to_string()); at != std::string::npos)
        index.replace(at, before.digest().to_string().size(), after.digest().to_string());
    }
    CHECK(stored.image.root().manifest->bytes() == index);
    CHECK(is_p2p(stored.image));
    CHECK_FALSE(is_p2p(image));

    SECTION("again: the same") {
      const Stored twice = rewrite(store, stored.image, {}, node.call);
      CHECK(twice.image.root().descriptor == stored.image.root().descriptor);
    }
    SECTION("and back: the image that it was made from") {
      const Stored back = rewrite(store, stored.image, {Digests::kKept, {}, {}}, node.call);
      CHECK(back.image.root().descriptor == image.root().descriptor);
      CHECK(back.image.root().manifest->bytes() == image.root().manifest->bytes());
      for (size_t i = 0; i < image.nodes.size(); ++i) {
        CHECK(back.image.nodes[i].descriptor == image.nodes[i].descriptor);
        CHECK(back.blobs[i].digest == image.nodes[i].descriptor.digest());
      }
    }
    SECTION("and back, with urls: as from the image that it was made from") {
      const Stored back = rewrite(store, stored.image, {Digests::kOci, {}, {}}, node.call);
      CHECK(back.image.root().descriptor == rewrite(store, image, {Digests::kOci, {}, {}}, node.call).image.root().descriptor);
      CHECK_FALSE(is_p2p(back.image));
    }
    SECTION("the root's descriptor is a blob of its own") {
      const RootBlob root = publish_root(store, stored, node.call);
      const oci::Descriptor& descriptor = stored.image.root().descriptor;
      CHECK(oci::read_whole(store, {"", root.blob.digest, root.blob.size}, 1000, node.call) ==
            R"({"mediaType":")" + std::string(oci::kOciIndex) + R"(","digest":")" + descriptor.digest().to_string() +
                R"(","size":)" + std::to_string(descriptor.size()) + "}");
    }
    CHECK(node.pins().size() >= 2 * image.nodes.size());
  }
  CHECK(node.pins().empty());
  CHECK(node.world.listed(node.world.op).empty());
}

TEST_CASE("a blob's progress goes once from end to end, however often it is read") {
  Node node;
  Images source;
  Daemon store(node.peer, node.control, "test", node.call);
  const auto layer = source.add(oci::kOciLayer, std::string(6000, 'l'));
  const auto root = source.add(oci::kOciManifest, oci::test::manifest_text(source.add(oci::kOciConfig, "{}"), {layer}));
  const oci::Image image = oci::copy(source, root, store, "", {}, node.call);
  const Stored p2p = rewrite(store, image, {}, node.call);

  std::mutex mutex;
  std::vector<uint64_t> told;  // of the layer
  std::atomic<int> reports{0};
  RewriteOptions options;
  options.report = [&](const oci::Descriptor& blob, uint64_t done, const std::string& origin) {
    const std::lock_guard lock(mutex);
    CHECK((done <= blob.size() && origin == "local"));
    if (blob.size() != layer.size()) return;
    told.push_back(done);
    ++reports;
  };
  // The backend tells of half the layer, and goes on when that was heard.
  node.world.memory->set_on_call([&](const char* function, const plugin::Call& call) {
    const std::string called = function;
    if (called.find("adopt_") != 0 || called.find(layer.digest().to_string()) == std::string::npos) return;
    const int before = reports;
    Call::report(call.abi(), "", layer.size() / 2, layer.size());
    for (int i = 0; i < 10'000 && reports == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  const auto told_of = [&](const oci::Image& what, Digests digests) {
    options.digests = digests;
    told.clear();
    rewrite(store, what, options, node.call);
    return std::exchange(told, {});
  };
  using Told = std::vector<uint64_t>;
  CHECK(told_of(image, Digests::kP2p) == Told{0, 3000, 6000});
  CHECK(told_of(image, Digests::kKept).empty());
  CHECK(told_of(p2p.image, Digests::kKept) == Told{0, 3000, 4500, 6000});        // hashed, then made known
  CHECK(told_of(p2p.image, Digests::kOci) == Told{0, 2000, 3000, 5000, 6000});  // and made a DAG of
  node.world.memory->set_on_call({});
}

TEST_CASE("of an index that part was chosen of, the rest is left out") {
  Node node;
  Images source;
  Daemon store(node.peer, node.control, "test", node.call);
  const oci::Image image = brought(node, store, source, {false, {oci::Platform::parse("linux/arm64")}});
  const Stored stored = rewrite(store, image, {}, node.call);
  const json index = json::parse(stored.image.root().manifest->bytes());
  REQUIRE(index["manifests"].size() == 1);
  CHECK(index["manifests"][0]["platform"]["architecture"] == "arm64");
  CHECK(index["manifests"][0]["x"] == json::parse("[1,2]"));
  CHECK(index["manifests"][0]["digest"] ==
        stored.image.nodes[stored.image.nodes.size() - 2].descriptor.digest().to_string());
}

TEST_CASE("kept digests: only what was not chosen of an index is left out") {
  Node node;
  Images source;
  Daemon store(node.peer, node.control, "test", node.call);
  const oci::Image all = brought(node, store, source);
  CHECK(rewrite(store, all, {Digests::kKept, {}, {}}, node.call).image.root().descriptor == all.root().descriptor);
  const oci::Image one = brought(node, store, source, {false, {oci::Platform::parse("linux/arm64")}});
  const Stored kept = rewrite(store, one, {Digests::kKept, {}, {}}, node.call);
  CHECK(kept.image.root().manifest->children().size() == 1);
  CHECK(kept.image.root().descriptor.digest() == oci::Digest::of(kept.image.root().manifest->bytes()));
  CHECK(kept.image.root().manifest->children()[0].descriptor == one.nodes[one.nodes.size() - 2].descriptor);
}

TEST_CASE("with OCI digests every descriptor gets a url, and Docker's types become OCI's") {
  Node node;
  Images source;
  Daemon store(node.peer, node.control, "test", node.call);
  const auto config = source.add(oci::kDockerConfig, "{}");
  const auto layer = source.add(oci::kDockerLayerGzip, "a layer");
  const auto foreign = source.add(oci::kDockerForeignPrefix, "somebody's");
  std::string text = oci::test::manifest_text(config, {layer, foreign});
  text.replace(text.find(oci::kOciManifest), oci::kOciManifest.size(), oci::kDockerManifest);
  const auto root = source.add(oci::kDockerManifest, text);
  oci::CopyOptions options;
  options.platforms = PlatformChoice::everything();
  options.skip_foreign = true;
  const oci::Image image = oci::copy(source, root, store, "", options, node.call);
  const Stored stored = rewrite(store, image, {Digests::kOci, {}, {}}, node.call);

  const json manifest = json::parse(stored.image.root().manifest->bytes());
  CHECK(manifest["mediaType"] == oci::kOciManifest);
  const auto check = [](const json& descriptor, const oci::Descriptor& before, std::string_view type,
                        const std::string& bytes) {
    CHECK(descriptor["digest"] == before.digest().to_string());
    CHECK(descriptor["mediaType"] == type);
    CHECK(descriptor["urls"] == json::array({"ipfs://" + cid_text(p2p_digest_of(bytes, "cid-version-1"), "v1")}));
  };
  check(manifest["config"], config, oci::kOciConfig, "{}");
  check(manifest["layers"][0], layer, oci::kOciLayerGzip, "a layer");
  CHECK(manifest["layers"][1] == json::parse(foreign.text()));
  const oci::Descriptor& made = stored.image.root().descriptor;
  CHECK(made.digest() == oci::Digest::of(stored.image.root().manifest->bytes()));
  CHECK(made.media_type() == oci::kOciManifest);
  CHECK(made.urls().size() == 1);
}

TEST_CASE("a published image becomes known from its CID on") {
  Node here, there;
  Images source;
  Daemon store(here.peer, here.control, "test", here.call);
  const bool p2p = GENERATE(true, false);
  const Stored stored =
      rewrite(store, brought(here, store, source), {p2p ? Digests::kP2p : Digests::kOci, {}, {}}, here.call);
  const RootBlob root = publish_root(store, stored, here.call);
  const auto offer = [&](const std::string& cid, const oci::Descriptor& blob) {
    there.world.memory->on_network(cid, bytes_of(oci::read_whole(store, blob, 1 << 20, here.call)));
  };
  offer(root.blob.cid, {"", root.blob.digest, root.blob.size});
  for (size_t i = 0; i < stored.blobs.size(); ++i) offer(stored.blobs[i].cid, stored.image.nodes[i].descriptor);

  Daemon other(there.peer, there.control, "test", there.call);
  const auto origins_of_a_pull = [&](Published* into) {
    std::mutex mutex;  // reports come from several threads
    std::map<std::string, std::set<std::string>> origins;
    const auto report = [&](const oci::Descriptor& blob, uint64_t, const std::string& origin) {
      const std::lock_guard lock(mutex);
      origins[blob.digest().to_string()].insert(origin);
    };
    Published published = fetch_published(other, root.blob.cid, PlatformChoice::everything(), report, there.call);
    if (into != nullptr) *into = std::move(published);
    return origins;
  };
  Published published{stored, root};
  const auto first = origins_of_a_pull(&published), second = origins_of_a_pull(nullptr);
  for (const oci::ImageNode& node : stored.image.nodes) {
    if (node.manifest) continue;
    CHECK(first.at(node.descriptor.digest().to_string()) == std::set<std::string>{"peer"});
    CHECK(second.at(node.descriptor.digest().to_string()) == std::set<std::string>{"local"});
  }
  CHECK(published.root.descriptor == root.descriptor);
  REQUIRE(published.stored.image.nodes.size() == stored.image.nodes.size());
  for (const oci::ImageNode& blob : published.stored.image.nodes) CHECK(other.has(blob.descriptor, there.call));

  SECTION("not when a blob is missing") {
    there.world.memory->off_network(stored.blobs[0].cid);
    CHECK_THROWS_WITH(
        fetch_published(other, root.blob.cid, PlatformChoice::everything(), {}, there.call),
        Catch::Contains(stored.image.nodes[0].descriptor.digest().to_string()) && Catch::Contains("nobody has it"));
  }
  SECTION("not when the CID leads elsewhere") {
    const std::string cid = cid_text(digest_of("elsewhere").to_string());
    there.world.memory->on_network(cid, bytes_of("[]"));
    CHECK_THROWS_WITH(fetch_published(other, cid, PlatformChoice::everything(), {}, there.call),
                      Catch::StartsWith("ipfs://" + cid));
  }
}

TEST_CASE("blocks are counted once in the bucket of the images that have them") {
  Node node;
  Images a, b;
  Daemon store(node.peer, node.control, "test", node.call);
  const auto image = [&](Images& source, const std::string& text) {
    const auto config = source.add(oci::kOciConfig, "{}");
    const auto layer = source.add(oci::kOciLayer, text);
    const auto root = source.add(oci::kOciManifest, oci::test::manifest_text(config, {layer}));
    return oci::copy(source, root, store, "", {PlatformChoice::everything(), 1, {}, false}, node.call);
  };
  const Comparison comparison =
      compare(store, {{"A", image(a, "samesame1234")}, {"B", image(b, "same5678")}}, {By::kBlocks, By::kBlobs}, {}, node.call);
  REQUIRE(comparison.granularities.size() == 2);
  const Granularity& blobs = comparison.granularities[1];
  REQUIRE(blobs.buckets.size() == 3);
  CHECK(blobs.buckets[0].count == 2);  // layer and manifest
  CHECK(blobs.buckets[2].count == 1);  // the config
  CHECK(blobs.buckets[2].bytes == 2);
  const Granularity& blocks = comparison.granularities[0];
  REQUIRE(blocks.buckets.size() == 3);
  CHECK(bucket_text(blocks.buckets[0], comparison.images) == "only A");
  CHECK(bucket_text(blocks.buckets[2], comparison.images) == "A & B");
  for (size_t i = 0; i < 2; ++i) {
    CHECK(blocks.totals[i].bytes == blocks.buckets[i].bytes + blocks.buckets[2].bytes);
    CHECK(blocks.totals[i].count == blocks.buckets[i].count + blocks.buckets[2].count);
  }
  // Roots are 100 bytes: config's, its leaf, "same" and what the manifests share.
  CHECK(blocks.buckets[2].bytes >= 100 + 2 + 4);
  const std::string picture = plot(comparison);
  CHECK_THAT(picture, Catch::StartsWith("<svg") && Catch::Contains("A &amp; B") && Catch::EndsWith("</svg>\n"));
  CHECK_THAT(picture, Catch::Contains("Bytes of blocks") && Catch::Contains("Bytes of blobs"));
}

TEST_CASE("blobs alone are counted by their roots, without a look at their blocks") {
  std::atomic<int> listings{0};  // outlives the node, which counts to its end
  Node node;
  Images source;
  Daemon store(node.peer, node.control, "test", node.call);
  const auto config = source.add(oci::kOciConfig, "{}");
  const auto layer = source.add(oci::kOciLayer, "the same bytes");
  const auto root = source.add(oci::kOciManifest, oci::test::manifest_text(config, {layer}));
  const oci::Image image = oci::copy(source, root, store, "", {PlatformChoice::everything(), 1, {}, false}, node.call);
  const oci::Image p2p = rewrite(store, image, {}, node.call).image;
  node.world.memory->set_on_call([&](const char* name, const plugin::Call&) { listings += std::string_view(name) == "list_blocks"; });
  const auto shared = [&](const std::vector<By>& by) {
    const Comparison found = compare(store, {{"A", image}, {"B", p2p}}, by, {}, node.call);
    const Granularity& blobs = found.granularities.back();
    REQUIRE(blobs.name == "blobs");
    REQUIRE(blobs.buckets.size() == 3);  // the manifests differ in their digests
    CHECK(blobs.buckets[2].bytes == 2 + layer.size());
    return blobs.buckets[2].count;
  };
  CHECK(shared({By::kBlobs}) == 2);
  CHECK(listings == 0);
  CHECK(shared({By::kBlocks, By::kBlobs}) == 2);
  CHECK(listings == 6);
}

TEST_CASE("files are counted once by their content, on a backend without DAGs, too") {
  Node node(false);
  Images a, b;
  Daemon store(node.peer, node.control, "test", node.call);
  const auto image = [&](Images& source, const std::string& layer, std::string_view type) {
    const auto config = source.add(oci::kOciConfig, "{}");
    const auto root =
        source.add(oci::kOciManifest, oci::test::manifest_text(config, {source.add(type, layer)}));
    return oci::copy(source, root, store, "", {PlatformChoice::everything(), 1, {}, false}, node.call);
  };
  const std::string common = "what both of them have";
  const std::string tar_a = test::tar({{"one", common}, {"again", common}, {"a", "only here"}, {"empty", ""}});
  const std::string tar_b = test::tar({{"elsewhere", common}, {"b", "there"}});
  std::atomic<int> whole{0}, partial{0};  // layers are read by several threads
  const auto report = [&](const oci::Descriptor& blob, uint64_t done, const std::string&) {
    ++(done == blob.size() ? whole : partial);
  };
  const Comparison comparison =
      compare(store,
              {{"A", image(a, test::packed(tar_a, test::Packing::kGzip), oci::kOciLayerGzip)},
               {"B", image(b, test::packed(tar_b, test::Packing::kZstd), oci::kOciLayerZstd)}},
              {By::kFiles, By::kBlobs}, report, node.call);
  CHECK(whole == 2);
  CHECK(partial == 0);
  REQUIRE(comparison.granularities.size() == 2);
  const Granularity& files = comparison.granularities[0];
  CHECK(files.name == "files");
  REQUIRE(files.buckets.size() == 3);
  CHECK(files.buckets[0].count == 2);  // of two contents, one of no bytes
  CHECK(files.buckets[0].bytes == 9);
  CHECK(files.buckets[1].bytes == 5);
  CHECK(files.buckets[2].count == 1);
  CHECK(files.buckets[2].bytes == common.size());
  CHECK(files.totals[0].bytes == 9 + common.size());
  CHECK(comparison.granularities[1].buckets.size() == 3);

  SECTION("a layer that is no tar") {
    Images c;
    CHECK_THROWS_WITH(
        compare(store, {{"C", image(c, "this is no tar", oci::kOciLayerGzip)}}, {By::kFiles}, {}, node.call),
        Catch::StartsWith("layer " + digest_of("this is no tar").to_string() + ": invalid archive: "));
  }
}

TEST_CASE("a backend without DAGs says so in one line") {
  Node node(false);
  Daemon store(node.peer, node.control, "test", node.call);
  CHECK_THROWS_WITH(store.need({IPCS_ADOPT_V1}, node.call),
                    "the backend \"memory\" does not offer ipcs.adopt/1: its blobs are no DAGs of blocks");
}
