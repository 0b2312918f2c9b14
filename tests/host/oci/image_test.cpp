// Walking images and copying them: what is chosen, in which order, and what is refused.
#include "oci/image.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <thread>

#include "host/oci/sample.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

const Call kCall;

Descriptor one_image(Memory& memory, const std::string& what) {
  const Descriptor config = memory.add(kOciConfig, "{\"x\":\"" + what + "\"}");
  return memory.add(kOciManifest, manifest_text(config, {memory.add(kOciLayer, what)}));
}

Descriptor chosen(Memory& memory, const Descriptor& index, const std::string& platform) {
  const Image image = walk(memory, index, {false, {Platform::parse(platform)}}, kCall);
  return image.nodes[image.root().children.at(0)].descriptor;
}

}  // namespace

TEST_CASE("children come before their parents, and each blob once") {
  Memory memory;
  const Descriptor root = add_image(memory);
  const Image image = walk(memory, root, PlatformChoice::everything(), kCall);
  CHECK(image.nodes.size() == 8);
  CHECK(image.root().descriptor == root);
  for (size_t i = 0; i < image.nodes.size(); ++i) {
    for (const size_t child : image.nodes[i].children) CHECK(child < i);
  }
}

TEST_CASE("the best image for a platform") {
  Memory memory;
  const Descriptor v5 = one_image(memory, "v5"), v7 = one_image(memory, "v7"), arm64 = one_image(memory, "arm64"),
                   i386 = one_image(memory, "i386"), unknown = one_image(memory, "unknown"),
                   plain = one_image(memory, "plain"), again = one_image(memory, "again");
  const Descriptor index =
      memory.add(kOciIndex, index_text({
                                with_platform(v5, R"({"architecture":"arm","os":"linux","variant":"v5"})"),
                                with_platform(unknown, R"({"architecture":"unknown","os":"unknown"})"),
                                with_platform(v7, R"({"architecture":"arm","os":"linux","variant":"v7"})"),
                                with_platform(i386, R"({"architecture":"386","os":"linux"})"),
                                with_platform(arm64, R"({"architecture":"aarch64","os":"linux","variant":"v8"})"),
                                with_platform(again, R"({"architecture":"arm64","os":"linux"})"),
                            }));
  CHECK(chosen(memory, index, "linux/arm/v7") == v7);
  CHECK(chosen(memory, index, "linux/arm/v6") == v5);
  CHECK(chosen(memory, index, "linux/arm64") == arm64);
  CHECK(chosen(memory, index, "linux/amd64") == i386);
  std::string message;
  CHECK(failure([&] { chosen(memory, index, "linux/s390x"); }, &message) == Code::kNotFound);
  CHECK_THAT(message, Catch::EndsWith(": nothing for linux/s390x"));
  CHECK(
      walk(memory, index,
           {false, {Platform::parse("linux/arm64"), Platform::parse("linux/arm/v7"), Platform::parse("linux/aarch64")}},
           kCall)
          .root()
          .children.size() == 2);

  const Descriptor mixed =
      memory.add(kOciIndex, index_text({with_platform(v7, R"({"architecture":"arm","os":"linux"})"), plain.text()}));
  CHECK(chosen(memory, mixed, "linux/s390x") == plain);
  CHECK(chosen(memory, mixed, "linux/arm") == v7);
  // A manifest itself is taken, whatever it is for.
  CHECK(walk(memory, v5, {false, {Platform::parse("linux/s390x")}}, kCall).nodes.size() == 3);
}

TEST_CASE("images that are not walked") {
  Memory memory;
  std::string message;
  SECTION("a root that is a layer") {
    CHECK(failure([&] { walk(memory, memory.add(kOciLayer, "x"), PlatformChoice::everything(), kCall); }, &message) ==
          Code::kInvalidArgument);
    CHECK_THAT(message, Catch::Contains("neither an index nor a manifest"));
  }
  SECTION("indexes in indexes") {
    Descriptor root = one_image(memory, "x");
    for (int i = 0; i < 7; ++i) root = memory.add(kOciIndex, index_text({root.text()}));
    CHECK(walk(memory, root, PlatformChoice::everything(), kCall).nodes.size() == 10);
    root = memory.add(kOciIndex, index_text({root.text()}));
    CHECK(failure([&] { walk(memory, root, PlatformChoice::everything(), kCall); }) == Code::kInvalidArgument);
  }
  SECTION("a blob called a layer here and a manifest there") {
    const Descriptor manifest = one_image(memory, "x");
    const Descriptor config = memory.add(kOciConfig, "{}");
    const Descriptor second = memory.add(
        kOciManifest, manifest_text(config, {Descriptor(std::string(kOciLayer), manifest.digest(), manifest.size())}));
    CHECK(failure(
              [&] {
                walk(memory, memory.add(kOciIndex, index_text({manifest.text(), second.text()})),
                     PlatformChoice::everything(), kCall);
              },
              &message) == Code::kInvalidArgument);
    CHECK_THAT(message, Catch::Contains("referred to in two ways"));
  }
  SECTION("a manifest of more than 8 MiB") {
    const Descriptor root = memory.add(kOciManifest, std::string(kMaxManifest + 1, ' '));
    CHECK(failure([&] { walk(memory, root, PlatformChoice::everything(), kCall); }) == Code::kResourceExhausted);
  }
  SECTION("artifacts in an index are blobs as they are") {
    const Descriptor artifact = memory.add("application/vnd.other+json", "{}");
    const Image image =
        walk(memory, memory.add(kOciIndex, index_text({artifact.text()})), PlatformChoice::everything(), kCall);
    CHECK(image.nodes.size() == 2);
    CHECK_FALSE(image.nodes[0].manifest);
  }
}

TEST_CASE("copying puts blobs before what refers to them, tells how far it is, and skips what is there") {
  Memory here, there;
  const Descriptor root = add_image(here, 1'000'000);
  std::mutex mutex;
  std::map<std::string, uint64_t> bytes;
  CopyOptions options;
  options.platforms = PlatformChoice::everything();
  options.progress = [&](const Descriptor& blob, uint64_t done, const std::string& origin) {
    const std::lock_guard lock(mutex);
    uint64_t& known = bytes[blob.digest().to_string()];
    CHECK(done >= known);
    CHECK(done <= blob.size());
    CHECK(origin == "memory");
    known = done;
  };
  copy(here, root, there, "name", options, kCall);
  CHECK(there.blobs == here.blobs);
  CHECK(there.tags.at("name") == root);
  for (const auto& [digest, data] : here.blobs) CHECK(bytes[digest.to_string()] == data.size());
  std::set<Digest> put;
  for (const Descriptor& blob : there.order) {
    if (is_index(blob.media_type()) || is_manifest(blob.media_type())) {
      const Manifest manifest = Manifest::parse(here.blobs.at(blob.digest()), blob.media_type(), "m");
      for (const Child& child : manifest.children()) CHECK(put.contains(child.descriptor.digest()));
    }
    put.insert(blob.digest());
  }
  options.progress = nullptr;
  there.order.clear();
  copy(here, root, there, "again", options, kCall);
  CHECK(there.order.empty());
}

TEST_CASE("several blobs are copied at once, and the first failure ends all") {
  class Slow : public Memory {
   public:
    void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) override {
      most = std::max(most.load(), ++now);
      if (blob.media_type() == "bad") {
        --now;
        throw ipcs::Error(Code::kDataLoss, "bad blob");
      }
      if (is_layer(blob.media_type())) {
        try {
          call.sleep(std::chrono::milliseconds(blob.size() > 100 ? 10'000 : 20));
        } catch (const ipcs::Error&) {
          --now;
          throw;
        }
      }
      --now;
      Memory::read(blob, from, sink, call);
    }
    std::atomic<int> now{0}, most{0};
  } here;
  std::vector<Descriptor> layers;
  for (int i = 0; i < 12; ++i) layers.push_back(here.add(kOciLayer, std::to_string(i)));
  Memory there;
  CopyOptions options;
  options.parallel = 3;
  copy(here, here.add(kOciManifest, manifest_text(here.add(kOciConfig, "{}"), layers)), there, "", options, kCall);
  CHECK(here.most == 3);

  layers.push_back(here.add(kOciLayer, std::string(1000, 'x')));
  layers.push_back(here.add("bad", "bad"));
  Memory nowhere;
  std::string message;
  const Descriptor root = here.add(kOciManifest, manifest_text(here.add(kOciConfig, "{}"), layers));
  CHECK(failure([&] { copy(here, root, nowhere, "", options, Call::within(std::chrono::seconds(8))); }, &message) ==
        Code::kDataLoss);
  CHECK(message == "bad blob");
  CHECK_FALSE(nowhere.blobs.contains(root.digest()));
  CHECK(nowhere.tags.empty());
}

TEST_CASE("foreign layers can be left out") {
  Memory here, there;
  const Descriptor foreign = here.add(std::string(kOciForeignPrefix) + "+gzip", "far away");
  const Descriptor root = here.add(kOciManifest, manifest_text(here.add(kOciConfig, "{}"), {foreign}));
  CopyOptions options;
  options.skip_foreign = true;
  copy(here, root, there, "", options, kCall);
  CHECK_FALSE(there.blobs.contains(foreign.digest()));
  CHECK(there.blobs.contains(root.digest()));
}
