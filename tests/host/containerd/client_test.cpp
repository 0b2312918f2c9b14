// The client against Debian's containerd: names, leases, blobs, and what its garbage collection leaves.
#include "containerd/client.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "containerd/content.hpp"
#include "host/containerd/private_containerd.hpp"
#include "host/oci/sample.hpp"
#include "oci/image.hpp"

using namespace ipcs::ctrd;
using namespace ipcs::oci::test;
using ipcs::Code;
using ipcs::ctrd::test::PrivateContainerd;
namespace oci = ipcs::oci;

namespace {

oci::Call soon() {
  return oci::Call::within(std::chrono::seconds(30));
}

oci::CopyOptions everything() {
  oci::CopyOptions options;
  options.platforms = oci::PlatformChoice::everything();
  return options;
}

bool has_all(Client& client, const Memory& memory) {
  Content content(client, "");
  for (const auto& [digest, bytes] : memory.blobs) {
    if (!content.has(oci::Descriptor("application/octet-stream", digest, bytes.size()), soon())) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("an image is registered, kept by its name, read back, and collected without it") {
  PrivateContainerd containerd;
  Client client("unix://" + containerd.socket, "here");
  Memory memory;
  const oci::Descriptor root = add_image(memory, (3 << 20) + 17);
  {
    Lease lease(client, std::chrono::minutes(10), soon());
    Content content(client, lease.id());
    copy(memory, root, content, "example.com/image:1", everything(), soon());
    // Once more, now that everything is there.
    copy(memory, root, content, "example.com/image:2", everything(), soon());
  }
  const auto image = client.image("example.com/image:1", soon());
  REQUIRE(image);
  CHECK(image->target == root);
  CHECK(client.images({}, soon()).size() == 2);
  CHECK(client.images({"name==example.com/image:2"}, soon()).size() == 1);

  // The labels hold the whole tree when garbage is collected.
  CHECK(client.remove_image("example.com/image:2", true, soon()));
  CHECK_FALSE(client.remove_image("example.com/image:2", true, soon()));
  CHECK(has_all(client, memory));
  Content content(client, "");
  Memory back;
  copy(content, root, back, "", everything(), soon());
  CHECK(back.blobs == memory.blobs);
  for (const auto& [digest, bytes] : memory.blobs) {
    std::string part;
    content.read(
        oci::Descriptor("x/y", digest, bytes.size()), 1,
        [&](std::span<const uint8_t> piece) { part.append(piece.begin(), piece.end()); }, soon());
    CHECK(part == bytes.substr(1));
  }

  SECTION("a name is given to another image, and its labels stay") {
    client.set_image("example.com/image:1", root, {{"a", "1"}, {"b", "2"}}, soon());
    client.set_image("example.com/image:1", root.with_annotation("k", "v"), {{"b", "3"}}, soon());
    const auto now = client.image("example.com/image:1", soon());
    CHECK(now->labels == Labels{{"a", "1"}, {"b", "3"}});
    CHECK(now->target.annotations().at("k") == "v");
  }
  SECTION("other namespaces do not see it, and need no bytes for it") {
    Client other(containerd.socket, "there");
    CHECK_FALSE(other.image("example.com/image:1", soon()));
    CHECK_FALSE(has_all(other, memory));
    Lease lease(other, std::chrono::minutes(10), soon());
    Content shared(other, lease.id());
    Memory manifests;
    for (const auto& [digest, bytes] : memory.blobs) {
      if (bytes.find("schemaVersion") != std::string::npos) manifests.blobs[digest] = bytes;
    }
    copy(manifests, root, shared, "theirs", everything(), soon());
    CHECK(has_all(other, memory));
  }
  SECTION("without its name it is garbage") {
    CHECK(client.remove_image("example.com/image:1", true, soon()));
    CHECK_FALSE(has_all(client, memory));
    std::string message;
    CHECK(failure([&] { oci::read_whole(content, root, 1 << 20, soon()); }, &message) == Code::kNotFound);
    CHECK_THAT(message,
               Catch::StartsWith("containerd " + containerd.socket + ": blob " + root.digest().to_string() + ": "));
  }
  SECTION("containerd is restarted") {
    containerd.stop();
    CHECK(failure([&] { client.image("example.com/image:1", soon()); }) == Code::kUnavailable);
    containerd.start();
    for (int i = 0; i < 50 && failure([&] { client.image("x", soon()); }) == Code::kUnavailable; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    CHECK(client.image("example.com/image:1", soon()));
  }
}

TEST_CASE("writes that go wrong") {
  PrivateContainerd containerd;
  Client client(containerd.socket, "here");
  Lease lease(client, std::chrono::minutes(10), soon());
  Content content(client, lease.id());
  Memory memory;
  const std::string bytes = noise(2'500'000, 3);
  const oci::Descriptor blob = memory.add(oci::kOciLayer, bytes);
  SECTION("wrong bytes are refused") {
    memory.blobs[blob.digest()][5] ^= 1;
    CHECK(failure([&] { content.put(blob, memory, soon()); }) == Code::kFailedPrecondition);
    Content seen(client, "");
    CHECK_FALSE(seen.has(blob, soon()));
  }
  SECTION("a source that breaks is read on from where it was") {
    struct Breaking : Memory {
      void read(const oci::Descriptor& wanted, uint64_t from, const oci::Sink& sink, const oci::Call& call) override {
        starts.push_back(from);
        uint64_t at = from;
        Memory::read(
            wanted, from,
            [&](std::span<const uint8_t> piece) {
              if (starts.size() == 1 && at >= 1'000'000) throw ipcs::Error(Code::kUnavailable, "broken");
              sink(piece);
              at += piece.size();
            },
            call);
      }
      std::vector<uint64_t> starts;
    } breaking;
    breaking.blobs = memory.blobs;
    CHECK(failure([&] { content.put(blob, breaking, soon()); }) == Code::kUnavailable);
    content.put(blob, breaking, soon());
    REQUIRE(breaking.starts.size() == 2);
    CHECK(breaking.starts[1] == 1'000'000);
    CHECK(oci::read_whole(content, blob, 1 << 24, soon()) == bytes);
  }
  SECTION("of several writers of one blob all succeed") {
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] { good += failure([&] { content.put(blob, memory, soon()); }) == Code::kOk; });
    for (std::thread& thread : threads) thread.join();
    CHECK(good == 4);
  }
  SECTION("a blob without bytes") {
    const oci::Descriptor empty = memory.add(oci::kOciLayer, "");
    content.put(empty, memory, soon());
    CHECK(oci::read_whole(content, empty, 10, soon()).empty());
  }
  SECTION("a sink that throws") {
    content.put(blob, memory, soon());
    CHECK_THROWS_AS(content.read(
                        blob, 0, [](auto) { throw std::runtime_error("full"); }, soon()),
                    std::runtime_error);
  }
  SECTION("work that is cancelled or too late") {
    std::stop_source stop;
    stop.request_stop();
    CHECK(failure([&] {
            client.image("x", {oci::Call::Clock::time_point::max(), stop.get_token()});
          }) == Code::kCancelled);
    CHECK(failure([&] { client.image("x", oci::Call::within(std::chrono::seconds(0))); }) == Code::kDeadlineExceeded);
  }
}

TEST_CASE("nobody there") {
  std::string message;
  Client client("/nonexistent/containerd.sock", "here");
  CHECK(failure([&] { client.image("x", soon()); }, &message) == Code::kUnavailable);
  CHECK_THAT(message, Catch::StartsWith("containerd /nonexistent/containerd.sock: image x: "));
  CHECK(failure([] { Client("", "x"); }) == Code::kInvalidArgument);
  CHECK(failure([] { Client("/x", ""); }) == Code::kInvalidArgument);
}

TEST_CASE("labels for garbage collection") {
  Memory memory;
  const oci::Descriptor root = add_image(memory);
  const auto index = oci::Manifest::parse(memory.blobs.at(root.digest()), root.media_type(), "index");
  const Labels of_index = gc_labels(index);
  CHECK(of_index.size() == 2);
  CHECK(of_index.at("containerd.io/gc.ref.content.m.1") == index.children()[1].descriptor.digest().to_string());
  const auto& first = index.children()[0].descriptor;
  const auto manifest = oci::Manifest::parse(memory.blobs.at(first.digest()), first.media_type(), "manifest");
  const Labels of_manifest = gc_labels(manifest);
  CHECK(of_manifest.size() == 3);
  CHECK(of_manifest.at("containerd.io/gc.ref.content.config") ==
        manifest.children()[0].descriptor.digest().to_string());
  CHECK(of_manifest.at("containerd.io/gc.ref.content.l.0") == manifest.children()[1].descriptor.digest().to_string());
}
