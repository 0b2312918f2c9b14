// What a registry may do wrong: lie, cut off, redirect, refuse, hang.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>

#include "host/oci/sample.hpp"
#include "host/oci/test_server.hpp"
#include "ipcs/error.hpp"
#include "oci/image.hpp"
#include "oci/repository.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;
using std::chrono::milliseconds;

namespace {

Call soon() {
  return Call::within(std::chrono::seconds(20));
}

RegistryOptions quick() {
  RegistryOptions options;
  options.retry.first = milliseconds(10);
  options.retry.longest = milliseconds(40);
  return options;
}

const std::string kBytes = noise(1'000'000, 5);
const Descriptor kBlob(std::string(kOciLayerGzip), Digest::of(kBytes), kBytes.size());
const std::string kManifest = manifest_text(Descriptor(std::string(kOciConfig), Digest::of("{}"), 2), {kBlob});
const std::string kManifestDigest = Digest::of(kManifest).to_string();
const std::string kManifestType = "Content-Type: " + std::string(kOciManifest);

// A client of a server that answers by `handler`.
struct Pair {
  explicit Pair(TestServer::Handler handler, RegistryOptions options = quick())
      : server(std::move(handler)), registry(server.host(), std::move(options)), repository(registry, "a/b") {}

  std::string read(uint64_t from = 0, const Call& call = soon()) {
    std::string got;
    repository.read(
        kBlob, from, [&](std::span<const uint8_t> piece) { got.append(piece.begin(), piece.end()); }, call);
    return got;
  }
  Code read_failure(std::string* message = nullptr, const Call& call = soon()) {
    return failure([&] { read(0, call); }, message);
  }
  Code manifest_failure(std::string* message = nullptr, const std::string& object = "v1", const Call& call = soon()) {
    return failure([&] { repository.manifest(object, call); }, message);
  }

  TestServer server;
  Registry registry;
  Repository repository;
};

uint64_t range_begin(const Request& request) {
  const std::string range = request.header("range");
  return range.empty() ? 0 : std::stoull(range.substr(range.find('=') + 1));
}

uint64_t range_end(const Request& request) {
  const std::string range = request.header("range");
  return range.empty() ? kBytes.size() : std::stoull(range.substr(range.find('-') + 1)) + 1;
}

std::string content_range(uint64_t begin, uint64_t end) {
  return "Content-Range: bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) + "/" +
         std::to_string(kBytes.size());
}

}  // namespace

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

TEST_CASE("statuses: which are tried again") {
  std::atomic<int> left{2};
  int status = 0;
  std::vector<std::string> headers;
  Pair pair([&](const Request&, Reply& reply) {
    if (left-- > 0) return reply.respond(status, headers, R"({"errors":[{"code":"X","message":"why"}]})");
    reply.respond(200, {}, kBytes);
  });
  std::string message;
  for (const int once_more : {429, 500, 502, 503, 504, 408}) {
    status = once_more;
    left = 2;
    CHECK(pair.read() == kBytes);
  }
  for (const auto& [final, code] : {std::pair(403, Code::kPermissionDenied),
                                    {404, Code::kNotFound},
                                    {400, Code::kInvalidArgument},
                                    {401, Code::kUnauthenticated},
                                    {501, Code::kUnimplemented},
                                    {418, Code::kFailedPrecondition}}) {
    status = final;
    left = 1;
    const size_t before = pair.server.requests().size();
    CHECK(pair.read_failure(&message) == code);
    CHECK(pair.server.requests().size() == before + 1);
    CHECK(message == "registry " + pair.server.host() + ": a/b: blob " + kBlob.digest().to_string() + ": " +
                         std::to_string(final) + " Status: X: why");
  }
}

TEST_CASE("how long is waited before another try") {
  std::atomic<int> left{0};
  int status = 0;
  std::vector<std::string> headers;
  Pair pair([&](const Request&, Reply& reply) {
    if (left-- > 0) return reply.respond(status, headers);
    reply.respond(200, {}, kBytes);
  });
  std::string message;
  SECTION("not for ever") {
    status = 503;
    left = 1000;
    CHECK(pair.read_failure(&message) == Code::kUnavailable);
    CHECK(left == 1000 - 6);
  }
  SECTION("Retry-After is kept to") {
    status = 429;
    left = 1;
    headers = {"Retry-After: 1"};
    const auto begin = std::chrono::steady_clock::now();
    CHECK(pair.read() == kBytes);
    CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::seconds(1));
  }
  SECTION("unless it is too long") {
    status = 429;
    left = 1000;
    headers = {"Retry-After: 86400"};
    CHECK(pair.read_failure(&message) == Code::kResourceExhausted);
    CHECK(left == 999);
  }
  SECTION("or longer than we may wait") {
    status = 503;
    left = 1000;
    headers = {"Retry-After: 60"};
    CHECK(pair.read_failure(&message, Call::within(milliseconds(500))) == Code::kUnavailable);
    CHECK(left == 999);
  }
}

TEST_CASE("a blob that is cut off goes on where it broke") {
  std::atomic<int> cuts{4};
  SECTION("with a server that knows ranges") {
    Pair pair([&](const Request& request, Reply& reply) {
      const uint64_t begin = range_begin(request);
      const bool cut = cuts-- > 0;
      reply.raw("HTTP/1.1 " + std::string(request.header("range").empty() ? "200 OK" : "206 Partial") + "\r\n" +
                content_range(begin, kBytes.size()) + "\r\nContent-Length: " + std::to_string(kBytes.size() - begin) +
                "\r\n\r\n");
      reply.raw(std::string_view(kBytes).substr(begin, cut ? 200'000 : kBytes.size()));
      if (cut) reply.close();
    });
    CHECK(pair.read() == kBytes);
    // What had arrived was not sent again.
    const auto requests = pair.server.requests();
    REQUIRE(requests.size() == 5);
    CHECK(requests[0].header("range").empty());
    for (size_t i = 1; i < requests.size(); ++i) CHECK(range_begin(requests[i]) == 200'000 * i);
  }
  SECTION("with one that does not") {
    Pair pair([&](const Request&, Reply& reply) {
      const bool cut = cuts-- > 0;
      reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
      reply.raw(std::string_view(kBytes).substr(0, cut ? 900'000 - 200'000 * (4 - cuts) : kBytes.size()));
      if (cut) reply.close();
    });
    CHECK(pair.read() == kBytes);
    CHECK(pair.server.requests().size() == 5);
    CHECK(pair.read(400'000) == kBytes.substr(400'000));
  }
  SECTION("with one that answers another range than asked for") {
    Pair pair([&](const Request& request, Reply& reply) {
      if (request.header("range").empty()) {
        reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + kBytes.substr(0, 300'000));
        reply.close();
      }
      reply.respond(206, {content_range(0, kBytes.size())}, kBytes);
    });
    std::string message;
    CHECK(pair.read_failure(&message) == Code::kDataLoss);
  }
  SECTION("in the middle of a header, in a number that still looks like one") {
    Pair pair([&](const Request&, Reply& reply) {
      if (cuts-- > 0) {
        reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000");
        reply.close();
      }
      reply.respond(200, {}, kBytes);
    });
    CHECK(pair.read() == kBytes);
  }
  SECTION("not when nothing comes at all, again and again") {
    Pair pair([&](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx");
      reply.close();
    });
    CHECK(pair.read_failure() == Code::kUnavailable);
    CHECK(pair.server.requests().size() == 6);
  }
}

TEST_CASE("ranges in parallel") {
  RegistryOptions options = quick();
  options.ranges_from = 500'000;
  options.range_size = 64'000;
  std::atomic<int> cut{0};
  const auto in_ranges = [&](const Request& request, Reply& reply) {
    const uint64_t begin = range_begin(request), end = range_end(request);
    reply.raw("HTTP/1.1 206 Partial\r\n" + content_range(begin, end) +
              "\r\nContent-Length: " + std::to_string(end - begin) + "\r\n\r\n");
    if (++cut % 3 == 0) {
      reply.raw(std::string_view(kBytes).substr(begin, 10'000));
      reply.close();
    }
    reply.raw(std::string_view(kBytes).substr(begin, end - begin));
  };
  SECTION("every third is cut off") {
    Pair pair(in_ranges, options);
    CHECK(pair.read() == kBytes);
    CHECK(pair.read(777) == kBytes.substr(777));
    for (const Request& request : pair.server.requests()) CHECK(range_end(request) - range_begin(request) <= 64'000);
  }
  SECTION("at most so many at once as allowed, however slow the sink") {
    Pair pair(in_ranges, options);
    size_t got = 0, ahead = 0;
    pair.repository.read(
        kBlob, 0,
        [&](std::span<const uint8_t> piece) {
          if (got < 64'000 * 3) std::this_thread::sleep_for(milliseconds(50));
          for (const Request& request : pair.server.requests())
            ahead = std::max<size_t>(ahead, range_end(request) - std::min<uint64_t>(got, range_end(request)));
          got += piece.size();
        },
        soon());
    CHECK(got == kBytes.size());
    CHECK(ahead <= 64'000 * 4);
  }
  SECTION("the server knows none") {
    Pair pair([&](const Request&, Reply& reply) { reply.respond(200, {}, kBytes); }, options);
    CHECK(pair.read() == kBytes);
    CHECK(pair.server.requests().size() == 1);
  }
  SECTION("one fails for good") {
    Pair pair(
        [&](const Request& request, Reply& reply) {
          if (range_begin(request) >= 256'000) return reply.respond(403);
          in_ranges(request, reply);
        },
        options);
    CHECK(pair.read_failure() == Code::kPermissionDenied);
  }
  SECTION("one hangs, and the deadline ends all") {
    Pair pair(
        [&](const Request& request, Reply& reply) {
          if (range_begin(request) >= 256'000) reply.hang();
          in_ranges(request, reply);
        },
        options);
    CHECK(pair.read_failure(nullptr, Call::within(milliseconds(300))) == Code::kDeadlineExceeded);
  }
}

TEST_CASE("redirects") {
  std::string message;
  std::atomic<bool> asked_elsewhere{false};
  TestServer elsewhere([&](const Request& request, Reply& reply) {
    asked_elsewhere = true;
    if (!request.header("authorization").empty()) return reply.respond(400, {}, "keep your secrets");
    reply.respond(200, {}, kBytes);
  });
  RegistryOptions options = quick();
  options.credentials = [](const std::string&, const Call&) { return Credentials{"me", "secret", "", ""}; };
  std::string location;
  Pair pair(
      [&](const Request& request, Reply& reply) {
        if (request.header("authorization").empty()) return reply.respond(401, {"WWW-Authenticate: Basic realm=\"x\""});
        if (request.target == "/there?a=%2Fb%20c") return reply.respond(200, {}, kBytes);
        if (request.target == "/loop") return reply.respond(302, {"Location: /loop"});
        reply.respond(307, {"Location: " + location});
      },
      options);
  SECTION("to another host, without Authorization") {
    location = "http://" + elsewhere.host() + "/cdn/x?signature=a%2Bb";
    CHECK(pair.read() == kBytes);
    CHECK(asked_elsewhere);
    CHECK(elsewhere.requests()[0].target == "/cdn/x?signature=a%2Bb");
  }
  SECTION("on the same host, with it, the place untouched") {
    location = "/there?a=%2Fb%20c";
    CHECK(pair.read() == kBytes);
  }
  SECTION("in a circle") {
    location = "/loop";
    CHECK(pair.read_failure(&message) == Code::kFailedPrecondition);
    CHECK_THAT(message, Catch::Contains("more than 10 redirects"));
    CHECK(pair.server.requests().size() == 12);
  }
  SECTION("to nowhere") {
    for (const std::string where : {"ftp://host/x", "", "http://", "file:///etc/passwd"}) {
      location = where;
      INFO(where);
      const Code code = pair.read_failure(&message);
      CHECK((code == Code::kFailedPrecondition));
      if (where.empty()) break;
    }
  }
}

TEST_CASE("a host that redirects back to us does not bring Authorization back") {
  std::string home;
  TestServer middle([&](const Request&, Reply& reply) { reply.respond(302, {"Location: http://" + home + "/back"}); });
  RegistryOptions options = quick();
  options.credentials = [](const std::string&, const Call&) { return Credentials{"me", "secret", "", ""}; };
  Pair pair(
      [&](const Request& request, Reply& reply) {
        if (request.target == "/back")
          return reply.respond(request.header("authorization").empty() ? 200 : 400, {}, kBytes);
        if (request.header("authorization").empty()) return reply.respond(401, {"WWW-Authenticate: Basic realm=\"x\""});
        reply.respond(302, {"Location: http://" + middle.host() + "/"});
      },
      options);
  home = pair.server.host();
  CHECK(pair.read() == kBytes);
}

TEST_CASE("tokens") {
  std::atomic<int> served{0};
  std::atomic<int> token_status{200};
  std::string answer = R"({"access_token":"t","expires_in":300})";
  TestServer tokens([&](const Request&, Reply& reply) {
    ++served;
    std::string text = answer;
    if (const size_t at = text.find("\"t\""); at != std::string::npos) text.insert(at + 2, std::to_string(served));
    reply.respond(token_status, {}, text);
  });
  std::string accepted = "Bearer t1";
  RegistryOptions options = quick();
  Credentials credentials;
  options.credentials = [&](const std::string&, const Call&) { return credentials; };
  Pair pair(
      [&](const Request& request, Reply& reply) {
        if (request.header("authorization") == accepted) return reply.respond(200, {kManifestType}, kManifest);
        reply.respond(401, {"WWW-Authenticate: Bearer realm=\"http://" + tokens.host() +
                            "/token\",service=\"the registry\",scope=\"repository:a/b:pull\""});
      },
      options);
  std::string message;
  SECTION("anonymous, one for many requests") {
    for (int i = 0; i < 3; ++i) pair.repository.manifest("v1", soon());
    CHECK(served == 1);
    CHECK(pair.server.requests().size() == 4);
    CHECK(tokens.requests()[0].target == "/token?service=the%20registry&scope=repository%3Aa%2Fb%3Apull");
    CHECK(tokens.requests()[0].header("authorization").empty());
  }
  SECTION("with a password") {
    credentials = {"me", "secret", "", ""};
    pair.repository.manifest("v1", soon());
    CHECK(tokens.requests()[0].header("authorization") == "Basic bWU6c2VjcmV0");
    for (const Request& request : pair.server.requests())
      CHECK_THAT(request.header("authorization"), !Catch::Contains("Basic"));
  }
  SECTION("with an identity token") {
    credentials.identity_token = "id/+";
    pair.repository.manifest("v1", soon());
    CHECK(tokens.requests()[0].method == "POST");
    CHECK(tokens.requests()[0].body ==
          "grant_type=refresh_token&client_id=ipcs&refresh_token=id%2F%2B&service=the%20registry&scope=repository%3Aa%"
          "2Fb%3Apull");
  }
  SECTION("with a registry token") {
    credentials.registry_token = "t1";
    pair.repository.manifest("v1", soon());
    CHECK(served == 0);
  }
  SECTION("a token that is no longer taken is replaced once") {
    pair.repository.manifest("v1", soon());
    accepted = "Bearer t2";
    pair.repository.manifest("v1", soon());
    CHECK(served == 2);
    accepted = "Bearer never";
    const size_t before = pair.server.requests().size();
    CHECK(pair.manifest_failure(&message) == Code::kUnauthenticated);
    CHECK(pair.server.requests().size() == before + 2);
    CHECK(served == 3);
  }
  SECTION("a token that expires is replaced before it is used") {
    answer = R"({"token":"t","expires_in":0})";
    pair.repository.manifest("v1", soon());
    accepted = "Bearer t3";
    CHECK(pair.manifest_failure(&message) == Code::kOk);
    CHECK(served == 3);
  }
  SECTION("many threads fetch one token") {
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += pair.manifest_failure() == Code::kOk; });
    for (std::thread& thread : threads) thread.join();
    CHECK(good == 8);
    CHECK(served == 1);
  }
  SECTION("the token server refuses") {
    token_status = 401;
    answer = R"({"details":"incorrect username or password"})";
    CHECK(pair.manifest_failure(&message) == Code::kUnauthenticated);
    CHECK(message == "registry " + pair.server.host() + ": a/b: manifest v1: token server http://" + tokens.host() +
                         "/token: 401 Status: incorrect username or password");
    CHECK(served == 1);
  }
  SECTION("the token server talks nonsense") {
    for (const std::string nonsense : {"", "[]", "{}", R"({"token":1})", R"({"token":"a\r\nX: y"})", "\"t\""}) {
      answer = nonsense;
      CHECK(pair.manifest_failure(&message) == Code::kUnauthenticated);
      CHECK_THAT(message, Catch::Contains("its answer has no token"));
    }
  }
}

TEST_CASE("passwords") {
  RegistryOptions options = quick();
  Credentials credentials{"me", "secret", "", ""};
  options.credentials = [&](const std::string& host, const Call&) {
    CHECK(host.starts_with("127.0.0.1:"));
    return credentials;
  };
  Pair pair(
      [&](const Request& request, Reply& reply) {
        if (request.header("authorization") == "Basic bWU6c2VjcmV0")
          return reply.respond(200, {kManifestType}, kManifest);
        reply.respond(401, {"WWW-Authenticate: Basic realm=\"x\""},
                      R"({"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]})");
      },
      options);
  SECTION("are sent when asked for, and then at once") {
    pair.repository.manifest("v1", soon());
    pair.repository.manifest("v1", soon());
    CHECK(pair.server.requests().size() == 3);
    CHECK(pair.server.requests()[0].header("authorization").empty());
  }
  SECTION("wrong ones are sent once") {
    credentials.password = "wrong";
    CHECK(pair.manifest_failure() == Code::kUnauthenticated);
    CHECK(pair.server.requests().size() == 2);
  }
  SECTION("none are not sent") {
    credentials = {};
    std::string message;
    CHECK(pair.manifest_failure(&message) == Code::kUnauthenticated);
    CHECK_THAT(message, Catch::Contains("authentication required"));
    CHECK(pair.server.requests().size() == 1);
  }
}

TEST_CASE("nothing hangs for ever") {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto seconds_since = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  RegistryOptions options = quick();
  options.retry.attempts = 2;
  options.http.answer = milliseconds(300);
  options.http.progress = milliseconds(300);
  std::string message;
  SECTION("no answer") {
    Pair pair([](const Request&, Reply& reply) { reply.hang(); }, options);
    CHECK(pair.manifest_failure(&message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("no answer in time"));
    CHECK(pair.server.requests().size() == 2);
  }
  SECTION("a header by drops") {
    Pair pair(
        [](const Request&, Reply& reply) {
          reply.raw("HTTP/1.1 200 OK\r\n");
          for (int i = 0;; ++i) {
            reply.raw(i % 10 == 9 ? "\r\nX" : i % 10 == 1 ? ": " : "y");
            std::this_thread::sleep_for(milliseconds(50));
          }
        },
        options);
    CHECK(pair.manifest_failure(&message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("no answer in time"));
  }
  SECTION("a body by drops") {
    Pair pair(
        [](const Request&, Reply& reply) {
          reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
          for (const char c : kBytes) {
            reply.raw({&c, 1});
            std::this_thread::sleep_for(milliseconds(20));
          }
        },
        options);
    CHECK(pair.read_failure(&message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("nothing came for too long"));
  }
  SECTION("a chunked body that stops") {
    Pair pair(
        [](const Request&, Reply& reply) {
          reply.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
          reply.hang();
        },
        options);
    CHECK(pair.read_failure(&message) == Code::kUnavailable);
  }
  SECTION("the caller's deadline") {
    Pair pair([](const Request&, Reply& reply) { reply.hang(); }, RegistryOptions{});
    CHECK(pair.manifest_failure(&message, "v1", Call::within(milliseconds(300))) == Code::kDeadlineExceeded);
    CHECK_THAT(message, Catch::StartsWith("registry " + pair.server.host() + ": a/b: manifest v1: "));
  }
  SECTION("the caller's word, in any wait") {
    RegistryOptions patient;
    patient.retry.first = std::chrono::seconds(60);
    patient.retry.longest = std::chrono::seconds(60);
    for (const std::string what : {"hang", "drop", "busy"}) {
      Pair pair(
          [&](const Request&, Reply& reply) {
            if (what == "busy") return reply.respond(503);
            if (what == "drop") reply.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc");
            reply.hang();
          },
          patient);
      std::stop_source stop;
      std::jthread stopper([&] {
        std::this_thread::sleep_for(milliseconds(150));
        stop.request_stop();
      });
      CHECK(pair.read_failure(&message, Call{Call::Clock::time_point::max(), stop.get_token()}) == Code::kCancelled);
    }
  }
  SECTION("a server that takes no bytes") {
    Pair pair(
        [](const Request& request, Reply& reply) {
          if (request.method == "POST") return reply.respond(202, {"Location: /upload"});
          reply.hang();
        },
        options);
    // It reads bodies before it answers, so the one that stops here is the source.
    Memory here;
    const Descriptor blob = here.add(kOciLayer, kBytes);
    CHECK(failure([&] { pair.repository.put(blob, here, Call::within(milliseconds(700))); }) ==
          Code::kDeadlineExceeded);
  }
  SECTION("a port where nobody listens") {
    Registry registry("127.0.0.1:1", options);
    Repository repository(registry, "a/b");
    CHECK(failure([&] { repository.manifest("v1", soon()); }, &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("connection refused"));
  }
  SECTION("a name that no one has") {
    options.transport = Transport::kHttp;
    Registry registry("no-such-host.invalid:5000", options);
    Repository repository(registry, "a/b");
    CHECK(failure([&] { repository.manifest("v1", soon()); }, &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("no-such-host.invalid"));
  }
  CHECK(seconds_since() < 5);
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
