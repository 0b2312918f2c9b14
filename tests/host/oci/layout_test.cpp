// OCI image layouts: written so that a reader sees whole images only, read so that nothing damaged is taken.
#include "oci/layout.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "host/oci/sample.hpp"
#include "host/oci/temporary.hpp"
#include "oci/image.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;
namespace fs = std::filesystem;

namespace {

CopyOptions everything() {
  CopyOptions options;
  options.platforms = PlatformChoice::everything();
  return options;
}

const Call kCall;

fs::path blob_file(const fs::path& directory, const Digest& digest) {
  return directory / "blobs/sha256" / digest.hex();
}

}  // namespace

TEST_CASE("an image goes into a layout and comes out of it") {
  Temporary temporary;
  const fs::path directory = temporary.path / "new" / "layout";
  Memory here;
  const Descriptor root = add_image(here);
  Layout layout = Layout::create(directory);
  CHECK(failure([&] { layout.find(""); }) == Code::kNotFound);
  copy(here, root, layout, "v1", everything(), kCall);
  CHECK(contents(directory / "oci-layout") == R"({"imageLayoutVersion":"1.0.0"})");
  CHECK(layout.find("v1") == root);
  CHECK(layout.find("") == root);
  for (const auto& [digest, bytes] : here.blobs) CHECK(contents(blob_file(directory, digest)) == bytes);

  Memory there;
  Layout reader = Layout::open(directory);
  copy(reader, reader.find("v1"), there, "", everything(), kCall);
  CHECK(there.blobs == here.blobs);
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) files += entry.is_regular_file();
  CHECK(files == here.blobs.size() + 3);  // oci-layout, index.json, the lock
}

TEST_CASE("tags of a layout") {
  Temporary temporary;
  Layout layout = Layout::create(temporary.path);
  Memory here;
  const Descriptor root = add_image(here);
  const Descriptor other = Descriptor(std::string(kOciManifest), Digest::of("x"), 1);
  layout.tag(root, "", "v1", kCall);
  layout.tag(root, "", "v2", kCall);
  CHECK(layout.entries().size() == 2);
  layout.tag(other, "", "v1", kCall);
  CHECK(layout.find("v1") == other);
  CHECK(layout.find("v2") == root);
  std::string message;
  CHECK(failure([&] { layout.find(""); }, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::EndsWith(": which of its images is meant; there are v2, v1"));
  CHECK(failure([&] { layout.find("v3"); }, &message) == Code::kNotFound);
  CHECK_THAT(message, Catch::Contains("no tag \"v3\"; there are v2, v1"));
  layout.tag(root, "", "", kCall);
  layout.tag(root, "", "", kCall);
  CHECK(layout.entries().size() == 3);

  // What others wrote stays as they wrote it.
  const std::string odd =
      R"({ "schemaVersion":2, "x": 1.0, "manifests" : [{"mediaType":"application/vnd.oci.image.manifest.v1+json", "digest":")" +
      Digest::of("y").to_string() + R"(","size": 1 ,"own":[ ]}] })";
  write(temporary.path / "index.json", odd);
  layout.tag(root, "", "v1", kCall);
  CHECK(
      contents(temporary.path / "index.json") ==
      std::string(odd).replace(odd.find("}] }"), 4,
                               "}," + root.with_annotation("org.opencontainers.image.ref.name", "v1").text() + "] }"));
}

TEST_CASE("many threads tag one layout") {
  Temporary temporary;
  Layout layout = Layout::create(temporary.path);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const std::string name = std::to_string(t) + "-" + std::to_string(i);
        layout.tag(Descriptor(std::string(kOciManifest), Digest::of(name), 1), "", name, kCall);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(layout.entries().size() == 20);
}

TEST_CASE("damage in a layout") {
  Temporary temporary;
  Memory here;
  const std::string bytes = noise(700'000, 4);
  const Descriptor blob = here.add(kOciLayer, bytes);
  Layout layout = Layout::create(temporary.path);
  CHECK_FALSE(layout.has(blob, kCall));
  CHECK(failure([&] { read_whole(layout, blob, 1 << 20, kCall); }) == Code::kNotFound);
  layout.put(blob, here, kCall);
  CHECK(layout.has(blob, kCall));
  CHECK(read_whole(layout, blob, 1 << 20, kCall) == bytes);
  CHECK(failure([&] { read_whole(layout, blob, 1000, kCall); }) == Code::kResourceExhausted);
  std::string part;
  layout.read(
      blob, 600'000, [&](std::span<const uint8_t> piece) { part.append(piece.begin(), piece.end()); }, kCall);
  CHECK(part == bytes.substr(600'000));

  for (const std::string& wrong : {bytes.substr(1), bytes + "x", "y" + bytes.substr(1), std::string()}) {
    write(blob_file(temporary.path, blob.digest()), wrong);
    CHECK_FALSE(layout.has(blob, kCall));
    CHECK(failure([&] { read_whole(layout, blob, 1 << 20, kCall); }) == Code::kDataLoss);
  }
  layout.put(blob, here, kCall);
  CHECK(layout.has(blob, kCall));

  SECTION("a source that fails or lies leaves nothing behind") {
    here.blobs[blob.digest()][0] ^= 1;
    fs::remove(blob_file(temporary.path, blob.digest()));
    CHECK(failure([&] { layout.put(blob, here, kCall); }) == Code::kDataLoss);
    here.blobs.clear();
    CHECK(failure([&] { layout.put(blob, here, kCall); }) == Code::kNotFound);
    CHECK(fs::is_empty(temporary.path / "blobs/sha256"));
  }
  SECTION("work that is cancelled") {
    std::stop_source stop;
    stop.request_stop();
    CHECK(failure([&] {
            layout.has(blob, Call{Call::Clock::time_point::max(), stop.get_token()});
          }) == Code::kCancelled);
  }
}

TEST_CASE("what is no layout") {
  Temporary temporary;
  CHECK(failure([&] { Layout::open(temporary.path); }) == Code::kNotFound);
  write(temporary.path / "precious", "x");
  std::string message;
  CHECK(failure([&] { Layout::create(temporary.path); }, &message) == Code::kFailedPrecondition);
  CHECK_THAT(message, Catch::Contains("it has \"precious\""));
  for (const std::string marker :
       {"{}", "[]", "x", R"({"imageLayoutVersion":"2.0.0"})", R"({"imageLayoutVersion":1})"}) {
    write(temporary.path / "oci-layout", marker);
    CHECK(failure([&] { Layout::open(temporary.path); }) != Code::kOk);
  }
  write(temporary.path / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  write(temporary.path / "index.json", "{");
  CHECK(failure([&] { Layout::open(temporary.path).entries(); }) == Code::kInvalidArgument);
}
