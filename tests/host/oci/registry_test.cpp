// What a registry may do wrong: lie, send too much, close what was kept.
#include <atomic>
#include <catch2/catch.hpp>

#include "host/oci/registry_pair.hpp"
#include "oci/image.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

TEST_CASE("wrong bytes, sizes and types are refused") {
  std::string message;
  SECTION("other bytes of the same size") {
    std::string other = kBytes;
    other[500'000] ^= 1;
    Pair pair([&](const Request&, Reply& reply) { reply.respond(200, {}, other); });
    CHECK(pair.read_failure(&message) == Code::kDataLoss);
    CHECK(message == "registry " + pair.server.host() + ": a/b: blob " + kBlob.digest().to_string() +
                         ": the bytes have the digest " + Digest::of(other).to_string());
    CHECK(pair.server.requests().size() == 1);
  }
  SECTION("another length announced") {
    Pair pair([&](const Request&, Reply& reply) { reply.respond(200, {}, kBytes.substr(1)); });
    CHECK(pair.read_failure(&message) == Code::kDataLoss);
    CHECK_THAT(message, Catch::Contains("the registry says 999999 bytes, the descriptor 1000000"));
  }
  SECTION("more than the descriptor says, without a length") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      reply.raw("f4240\r\n" + kBytes + "\r\n1\r\nx\r\n0\r\n\r\n");
    });
    CHECK(pair.read_failure(&message) == Code::kDataLoss);
    CHECK_THAT(message, Catch::Contains("more than the 1000000 bytes"));
  }
  SECTION("an encoding that was not asked for") {
    Pair pair([&](const Request&, Reply& reply) { reply.respond(200, {"Content-Encoding: gzip"}, kBytes); });
    CHECK(pair.read_failure(&message) == Code::kDataLoss);
    CHECK_THAT(message, Catch::Contains("gzip"));
  }
  SECTION("a manifest with another digest than it was asked for by") {
    Pair pair([&](const Request&, Reply& reply) { reply.respond(200, {kManifestType}, kManifest + " "); });
    CHECK(pair.manifest_failure(&message, kManifestDigest) == Code::kDataLoss);
    CHECK(pair.server.requests().size() == 1);
    CHECK(failure([&] {
            read_whole(pair.repository, Descriptor(std::string(kOciManifest), Digest::of(kManifest), kManifest.size()),
                       1 << 20, soon());
          }) == Code::kDataLoss);
  }
  SECTION("a manifest with another digest than its header says") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.respond(200, {kManifestType, "Docker-Content-Digest: " + kBlob.digest().to_string()}, kManifest);
    });
    CHECK(pair.manifest_failure(&message) == Code::kDataLoss);
  }
  SECTION("a digest header that is none") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.respond(200, {kManifestType, "Docker-Content-Digest: sha256:abc"}, kManifest);
    });
    CHECK(pair.manifest_failure(&message) == Code::kDataLoss);
  }
  SECTION("a manifest that is called an index, a page that is called a manifest") {
    Pair pair([&](const Request& request, Reply& reply) {
      if (request.target.ends_with("index"))
        return reply.respond(200, {"Content-Type: " + std::string(kOciIndex)}, kManifest);
      reply.respond(200, {kManifestType}, "<html>");
    });
    CHECK(pair.manifest_failure(&message, "index") == Code::kInvalidArgument);
    CHECK_THAT(message, Catch::Contains("said to be"));
    CHECK(pair.manifest_failure(&message, "page") == Code::kInvalidArgument);
    CHECK_THAT(message, Catch::Contains("JSON"));
  }
  SECTION("a type that says nothing leaves it to the manifest") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.respond(200, {"Content-Type: text/plain; charset=utf-8"}, kManifest);
    });
    CHECK(pair.repository.manifest("v1", soon()).descriptor.media_type() == kOciManifest);
  }
  SECTION("a HEAD that lies or lacks something is not believed where it can be checked") {
    Pair pair([&](const Request& request, Reply& reply) {
      reply.respond(200, {kManifestType}, kManifest, request.method != "HEAD");
    });
    CHECK(pair.repository.resolve("v1", soon()).digest().to_string() == kManifestDigest);
    CHECK(pair.server.count("GET", "manifests") == 1);
  }
}

TEST_CASE("limits on what a registry may send") {
  std::string message;
  SECTION("a manifest over 8 MiB, announced") {
    Pair pair(
        [&](const Request&, Reply& reply) { reply.respond(200, {kManifestType}, std::string(kMaxManifest + 1, ' ')); });
    CHECK(pair.manifest_failure(&message) == Code::kResourceExhausted);
  }
  SECTION("a manifest without end") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 OK\r\n" + kManifestType + "\r\nTransfer-Encoding: chunked\r\n\r\n");
      const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
      for (;;) reply.raw(chunk);
    });
    CHECK(pair.manifest_failure(&message) == Code::kResourceExhausted);
    CHECK_THAT(message, Catch::Contains("manifest v1"));
  }
  SECTION("a header without end") {
    std::atomic<int> connections{0};
    Pair pair([&](const Request&, Reply& reply) {
      ++connections;
      reply.raw("HTTP/1.1 200 OK\r\nX: ");
      const std::string letters(65536, 'x');
      for (;;) reply.raw(letters);
    });
    CHECK(pair.manifest_failure(&message) == Code::kUnavailable);
    CHECK(message.size() < 400);
  }
  SECTION("headers without number") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 OK\r\n");
      for (;;) reply.raw("X: y\r\n");
    });
    CHECK(pair.manifest_failure(&message) == Code::kUnavailable);
  }
  SECTION("an error of any length and content") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.respond(403, {}, R"({"errors":[{"code":"DENIED","message":"no\n)" + std::string(100'000, 'x') + R"("}]})");
    });
    CHECK(pair.manifest_failure(&message) == Code::kPermissionDenied);
    CHECK(message.size() < 400);
    CHECK(message.find('\n') == std::string::npos);
  }
  SECTION("garbage in the place of chunks") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + kBytes);
      reply.close();
    });
    CHECK(pair.read_failure(&message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("cut off at byte 0"));
  }
  SECTION("no HTTP at all") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n");
      reply.close();
    });
    CHECK(pair.read_failure(&message) == Code::kUnavailable);
  }
}

TEST_CASE("connections are kept, and replaced when the server has closed them") {
  std::atomic<bool> close{false};
  Pair pair([&](const Request&, Reply& reply) {
    reply.respond(200, {kManifestType}, kManifest);
    if (close) reply.close();
  });
  for (int i = 0; i < 5; ++i) pair.repository.manifest("v1", soon());
  for (const Request& request : pair.server.requests()) CHECK(request.connection == 1);
  close = true;
  for (int i = 0; i < 5; ++i) pair.repository.manifest("v1", soon());
  CHECK(pair.server.requests().size() == 10);
  CHECK(pair.server.requests().back().connection == 5);
}

TEST_CASE("foreign layers come from their urls, without secrets") {
  TestServer elsewhere([&](const Request& request, Reply& reply) {
    reply.respond(request.header("authorization").empty() && request.target == "/layer" ? 200 : 400, {}, kBytes);
  });
  RegistryOptions options = quick();
  options.credentials = [](const std::string&, const Call&) { return Credentials{"me", "secret", "", ""}; };
  Pair pair(
      [&](const Request& request, Reply& reply) {
        if (request.header("authorization").empty()) return reply.respond(401, {"WWW-Authenticate: Basic realm=\"x\""});
        reply.respond(404);
      },
      options);
  const Descriptor foreign = Descriptor(std::string(kDockerForeignPrefix) + ".gzip", kBlob.digest(), kBlob.size())
                                 .with_urls({"ipfs://abc", "http://" + elsewhere.host() + "/layer"});
  CHECK(read_whole(pair.repository, foreign, 1 << 20, soon()) == kBytes);
  CHECK(failure([&] { read_whole(pair.repository, kBlob.with_urls(foreign.urls()), 1 << 20, soon()); }) ==
        Code::kNotFound);
}
