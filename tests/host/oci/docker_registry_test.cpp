// Pulling from and pushing to a real registry: Debian's docker-registry.
#include <algorithm>
#include <catch2/catch.hpp>

#include "host/oci/docker_registry.hpp"
#include "host/oci/sample.hpp"
#include "ipcs/error.hpp"
#include "oci/image.hpp"
#include "oci/layout.hpp"
#include "oci/repository.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

Call soon() {
  return Call::within(std::chrono::seconds(30));
}

CopyOptions everything() {
  CopyOptions options;
  options.platforms = PlatformChoice::everything();
  return options;
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("an image is pushed, found by tag and digest, and pulled again") {
  DockerRegistry server;
  Registry registry(server.host, {});
  Repository repository(registry, "some/image");
  Memory here;
  const Descriptor root = add_image(here, 3 << 20);
  const Image pushed = copy(here, root, repository, "v1", everything(), soon());
  CHECK(pushed.nodes.size() == 8);

  CHECK(repository.resolve("v1", soon()) == root);
  CHECK(repository.resolve(root.digest().to_string(), soon()) == root);
  CHECK(repository.manifest("v1", soon()).descriptor == root);
  CHECK(repository.manifest("v1", soon()).manifest.bytes() == here.blobs.at(root.digest()));

  Memory there;
  copy(repository, root, there, "mine", everything(), soon());
  CHECK(there.blobs == here.blobs);
  CHECK(there.tags.at("mine") == root);
  CHECK(there.order.back() == root);

  SECTION("a second push sends no blob") {
    const auto uploads = [&] { return count(server.log(), "\"POST /v2/some/image/blobs/uploads/"); };
    CHECK(uploads() == 5);
    copy(here, root, repository, "v2", everything(), soon());
    CHECK(uploads() == 5);
    CHECK(repository.resolve("v2", soon()) == root);
  }
  SECTION("one platform of it") {
    Memory arm;
    CopyOptions options;
    options.platforms = {false, {Platform::parse("linux/arm64")}};
    const Image pulled = copy(repository, root, arm, "", options, soon());
    CHECK(pulled.nodes.size() == 5);
    CHECK(arm.blobs.size() == 5);
  }
  SECTION("to a layout and back into another repository") {
    Temporary directory;
    Layout layout = Layout::create(directory.path / "layout");
    copy(repository, root, layout, "v1", everything(), soon());
    Repository other(registry, "other");
    copy(layout, layout.find("v1"), other, "again", everything(), soon());
    CHECK(other.manifest("again", soon()).manifest.bytes() == here.blobs.at(root.digest()));
  }
  SECTION("blobs are mounted from a repository of the same registry") {
    Repository other(registry, "other");
    other.mount_from("some/image");
    Memory only_manifests;
    for (const ImageNode& node : pushed.nodes) {
      if (node.manifest) only_manifests.blobs[node.descriptor.digest()] = node.manifest->bytes();
    }
    // Layers and configs can only come by mounts: the source has none.
    copy(only_manifests, root, other, "v1", everything(), soon());
    Memory mounted;
    copy(other, root, mounted, "", everything(), soon());
    CHECK(mounted.blobs == here.blobs);
  }
}

TEST_CASE("a large blob is pulled in ranges, whole and from any byte on") {
  DockerRegistry server;
  RegistryOptions options;
  options.range_size = 256 << 10;
  options.ranges_from = 1 << 20;
  Registry registry(server.host, options);
  Repository repository(registry, "large");
  Memory here;
  const std::string bytes = noise((5 << 20) + 12345, 7);
  const Descriptor blob = here.add(kOciLayer, bytes);
  CHECK_FALSE(repository.has(blob, soon()));
  repository.put(blob, here, soon());
  CHECK(repository.has(blob, soon()));
  for (const uint64_t from :
       {uint64_t(0), uint64_t(1), uint64_t(256 << 10), uint64_t(3'000'000), blob.size() - 1, blob.size()}) {
    std::string got;
    repository.read(
        blob, from, [&](std::span<const uint8_t> piece) { got.append(piece.begin(), piece.end()); }, soon());
    CHECK(got == bytes.substr(from));
  }
  CHECK(count(server.log(), "http.response.status=206") >= 20);
  CHECK(failure([&] {
          repository.read(
              blob, blob.size() + 1, [](auto) {}, soon());
        }) == Code::kOutOfRange);
  // What the sink throws ends it, in the middle of parallel ranges.
  CHECK_THROWS_AS(repository.read(
                      blob, 0, [](auto) { throw std::runtime_error("full"); }, soon()),
                  std::runtime_error);
}

TEST_CASE("what is not there, and what the registry refuses") {
  DockerRegistry server;
  Registry registry(server.host, {});
  Repository repository(registry, "a/b");
  std::string message;
  CHECK(failure([&] { repository.manifest("none", soon()); }, &message) == Code::kNotFound);
  CHECK(message ==
        "registry " + server.host + ": a/b: manifest none: 404 Not Found: MANIFEST_UNKNOWN: manifest unknown");
  CHECK(failure([&] { repository.resolve("none", soon()); }) == Code::kNotFound);
  Memory here;
  const Descriptor blob = here.add(kOciLayer, "x");
  CHECK(failure(
            [&] {
              repository.read(
                  blob, 0, [](auto) {}, soon());
            },
            &message) == Code::kNotFound);
  CHECK_THAT(message, Catch::Contains("blob " + blob.digest().to_string() + ": 404 Not Found: BLOB_UNKNOWN"));

  // A manifest whose blobs are missing, and a blob under another's digest.
  const Descriptor manifest = here.add(kOciManifest, manifest_text(here.add(kOciConfig, "{}"), {blob}));
  CHECK(failure([&] { repository.put(manifest, here, soon()); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::Contains("MANIFEST_BLOB_UNKNOWN"));
  here.blobs[blob.digest()] = "y";
  CHECK(failure([&] { repository.put(blob, here, soon()); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::Contains("DIGEST_INVALID"));
}
