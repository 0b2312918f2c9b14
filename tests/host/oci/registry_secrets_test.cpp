// Redirects, tokens and passwords: who is asked for them, and who gets them.
#include <atomic>
#include <catch2/catch.hpp>

#include "host/oci/registry_pair.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

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
