// Uploads that break: where they go on, and what is never sent twice.
#include <atomic>
#include <catch2/catch.hpp>

#include "host/oci/sample.hpp"
#include "host/oci/test_server.hpp"
#include "ipcs/error.hpp"
#include "oci/repository.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

Call soon() {
  return Call::within(std::chrono::seconds(20));
}

RegistryOptions quick() {
  RegistryOptions options;
  options.retry.first = std::chrono::milliseconds(10);
  options.retry.longest = std::chrono::milliseconds(40);
  options.whole_upload_up_to = 1000;
  return options;
}

// A registry of one blob that keeps what arrives.
struct Store {
  std::mutex mutex;
  std::string bytes;
  bool open = false;
  bool done = false;
  int lost_answers = 0;     // answers to PATCH that the client does not get
  int forgotten = 0;        // uploads that are gone when they are asked about
  size_t keeps = SIZE_MAX;  // of each PATCH

  void operator()(const Request& request, Reply& reply) {
    const std::lock_guard lock(mutex);
    if (request.method == "HEAD") return reply.respond(done ? 200 : 404, {}, done ? bytes : "", false);
    if (request.method == "POST") {
      bytes.clear();
      open = true;
      return reply.respond(202, {"Location: /upload/1?state=a%3D", "Range: 0-0"});
    }
    if (!open) return reply.respond(404, {}, R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]})");
    if (request.method == "GET") {
      if (forgotten-- > 0) {
        open = false;
        return reply.respond(404);
      }
      return reply.respond(
          204, {"Location: /upload/1?state=b", "Range: 0-" + std::to_string(bytes.empty() ? 0 : bytes.size() - 1)});
    }
    if (request.method == "PATCH") {
      const std::string range = request.header("content-range");
      const size_t begin = range.empty() ? 0 : std::stoull(range);
      if (begin != bytes.size()) return reply.respond(416);
      bytes += request.body.substr(0, lost_answers > 0 ? keeps : SIZE_MAX);
      if (lost_answers-- > 0) reply.close();
      return reply.respond(202, {"Location: /upload/1?state=c", "Range: 0-" + std::to_string(bytes.size() - 1)});
    }
    bytes += request.body;
    const std::string digest = request.target.substr(request.target.find("digest=") + 7);
    if (digest != percent_encode(Digest::of(bytes).to_string()))
      return reply.respond(400, {}, R"({"errors":[{"code":"DIGEST_INVALID","message":"no"}]})");
    open = false;
    done = true;
    reply.respond(201, {"Docker-Content-Digest: " + Digest::of(bytes).to_string()});
  }
};

}  // namespace

TEST_CASE("uploads") {
  Store store;
  TestServer server([&](const Request& request, Reply& reply) { store(request, reply); });
  Registry registry(server.host(), quick());
  Repository repository(registry, "a/b");
  Memory here;
  const std::string bytes = noise(500'000, 9);
  const Descriptor blob = here.add(kOciLayer, bytes);
  SECTION("of small blobs are two requests") {
    const Descriptor small = here.add(kOciConfig, "{}");
    repository.put(small, here, soon());
    CHECK(store.bytes == "{}");
    CHECK(server.requests().size() == 2);
  }
  SECTION("of nothing") {
    const Descriptor empty = here.add(kOciLayer, "");
    repository.put(empty, here, soon());
    CHECK(store.done);
  }
  SECTION("of large ones three, and the place is used as it was given") {
    repository.put(blob, here, soon());
    CHECK(store.bytes == bytes);
    REQUIRE(server.requests().size() == 3);
    CHECK(server.requests()[1].target == "/upload/1?state=a%3D");
    CHECK(server.requests()[2].target == "/upload/1?state=c&digest=" + percent_encode(blob.digest().to_string()));
  }
  SECTION("go on where they broke") {
    store.lost_answers = 3;
    store.keeps = 120'000;
    repository.put(blob, here, soon());
    CHECK(store.bytes == bytes);
    CHECK(server.count("POST", "uploads") == 1);
    CHECK(server.count("PATCH", "") == 4);
    const auto requests = server.requests();
    size_t sent = 0;
    for (const Request& request : requests) sent += request.body.size();
    CHECK(sent == 500'000 + 380'000 + 260'000 + 140'000);
  }
  SECTION("know that everything has arrived when only the answer was lost") {
    store.lost_answers = 1;
    repository.put(blob, here, soon());
    CHECK(store.bytes == bytes);
    CHECK(server.count("PATCH", "") == 1);
  }
  SECTION("begin anew when the registry has forgotten them") {
    store.lost_answers = 1;
    store.keeps = 100;
    store.forgotten = 1;
    repository.put(blob, here, soon());
    CHECK(store.bytes == bytes);
    CHECK(server.count("POST", "uploads") == 2);
  }
  SECTION("begin anew when nothing or one byte had arrived, which can't be told apart") {
    store.lost_answers = 1;
    store.keeps = GENERATE(0, 1);
    repository.put(blob, here, soon());
    CHECK(store.bytes == bytes);
    CHECK(server.count("POST", "uploads") == 2);
  }
  SECTION("fail when they never end") {
    store.lost_answers = 1000;
    store.keeps = 0;
    CHECK(failure([&] { repository.put(blob, here, soon()); }) == Code::kUnavailable);
    CHECK(server.count("PATCH", "") == 6);
  }
  SECTION("fail with the source's words when it fails") {
    here.blobs.clear();
    std::string message;
    CHECK(failure([&] { repository.put(blob, here, soon()); }, &message) == Code::kNotFound);
    CHECK_THAT(message, Catch::Contains("memory: no sha256"));
  }
  SECTION("of wrong bytes are the registry's to refuse, once") {
    here.blobs[blob.digest()][7] ^= 1;
    CHECK(failure([&] { repository.put(blob, here, soon()); }) == Code::kInvalidArgument);
    CHECK(server.count("PUT", "") == 1);
  }
}

TEST_CASE("an upload's place that is none") {
  std::string location;
  TestServer server([&](const Request&, Reply& reply) {
    location.empty() ? reply.respond(202) : reply.respond(202, {"Location: " + location});
  });
  Registry registry(server.host(), quick());
  Repository repository(registry, "a/b");
  Memory here;
  const Descriptor blob = here.add(kOciLayer, noise(5000, 1));
  std::string message;
  CHECK(failure([&] { repository.put(blob, here, soon()); }, &message) == Code::kFailedPrecondition);
  CHECK_THAT(message, Catch::Contains("does not say where to upload to"));
  location = "gopher://x/";
  CHECK(failure([&] { repository.put(blob, here, soon()); }, &message) == Code::kFailedPrecondition);
}

TEST_CASE("an upload sent elsewhere does not take Authorization along") {
  Store store;
  std::atomic<int> leaked{0};
  TestServer elsewhere([&](const Request& request, Reply& reply) {
    leaked += !request.header("authorization").empty();
    store(request, reply);
  });
  store.open = true;
  RegistryOptions options = quick();
  options.credentials = [](const std::string&, const Call&) { return Credentials{"me", "secret", "", ""}; };
  TestServer server([&](const Request& request, Reply& reply) {
    if (request.header("authorization").empty()) return reply.respond(401, {"WWW-Authenticate: Basic realm=\"x\""});
    reply.respond(202, {"Location: http://" + elsewhere.host() + "/upload/1"});
  });
  Registry registry(server.host(), options);
  Repository repository(registry, "a/b");
  Memory here;
  const Descriptor blob = here.add(kOciLayer, noise(5000, 1));
  repository.put(blob, here, soon());
  CHECK(store.done);
  CHECK(leaked == 0);
}

TEST_CASE("mounts that are refused are uploads") {
  Store store;
  TestServer server([&](const Request& request, Reply& reply) {
    if (request.target.find("from=secret") != std::string::npos) return reply.respond(403);
    store(request, reply);
  });
  Registry registry(server.host(), quick());
  Repository repository(registry, "a/b");
  repository.mount_from("secret/place");
  repository.mount_from("open/place");
  Memory here;
  const Descriptor blob = here.add(kOciLayer, noise(5000, 1));
  repository.put(blob, here, soon());
  CHECK(store.done);
  const auto requests = server.requests();
  CHECK(requests[0].target ==
        "/v2/a/b/blobs/uploads/?mount=" + percent_encode(blob.digest().to_string()) + "&from=secret%2Fplace");
  CHECK(requests.size() == 4);
}
