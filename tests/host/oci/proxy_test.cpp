// Registries behind a proxy: plain requests, tunnels, and proxies that refuse, lie or hang.
#include <catch2/catch.hpp>
#include <map>

#include "host/oci/authority.hpp"
#include "host/oci/registry_pair.hpp"
#include "host/oci/tunnel_proxy.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

void answer(const Request&, Reply& reply) { reply.respond(200, {kManifestType}, kManifest); }

// Options as the environment gives them.
RegistryOptions behind(const std::string& variable, const std::string& proxy) {
  RegistryOptions options = quick();
  options.http.tls.ca_file = authority().file("ca.crt");
  options.http.tls.certs_dir = "";
  options.http.connect = milliseconds(500);
  options.retry.attempts = 2;
  options.http.proxies = Proxies([=](const std::string& name) { return name == variable ? proxy : std::string(); });
  return options;
}

Code pull(const std::string& host, const RegistryOptions& options, std::string* message = nullptr, int times = 1) {
  return failure(
      [&] {
        Registry registry(host, options);
        Repository repository(registry, "a/b");
        for (int i = 0; i < times; ++i) repository.manifest("v1", soon());
      },
      message);
}

}  // namespace

TEST_CASE("plain requests go to a proxy with whole URLs") {
  TestServer proxy([&](const Request& request, Reply& reply) {
    CHECK(request.target == "http://registry.example:5000/v2/a/b/manifests/v1");
    CHECK(request.header("host") == "registry.example:5000");
    CHECK(request.header("proxy-authorization") == "Basic dTpw");
    answer(request, reply);
  });
  RegistryOptions options = behind("HTTP_PROXY", "http://u:p@" + proxy.host());
  options.transport = Transport::kHttp;
  CHECK(pull("registry.example:5000", options, nullptr, 3) == Code::kOk);
  CHECK(proxy.requests().size() == 3);
}

TEST_CASE("https goes through a tunnel, and the proxy sees nothing of it") {
  // Made out for a name that only the proxy knows.
  authority().sign("tunnelled", "DNS:registry.example");
  TestServer registry(answer, authority().server("tunnelled"));
  TunnelProxy proxy(registry.port());
  const RegistryOptions options = behind("HTTPS_PROXY", "http://u:p%40@" + proxy.host());
  std::string message;
  CHECK(pull("registry.example", options, &message, 3) == Code::kOk);
  CHECK(message == "");
  REQUIRE(proxy.heads().size() == 1);  // the connection is kept
  const std::string head = proxy.heads()[0];
  CHECK_THAT(head, Catch::StartsWith("CONNECT registry.example:443 HTTP/1.1\r\n") &&
                       Catch::Contains("Proxy-Authorization: Basic dTpwQA==\r\n") &&
                       Catch::Contains("Host: registry.example:443\r\n"));
  CHECK(head.find("manifests") == std::string::npos);
  REQUIRE(registry.requests().size() == 3);
  CHECK(registry.requests()[0].target == "/v2/a/b/manifests/v1");
  CHECK(registry.requests()[0].header("host") == "registry.example");
  CHECK(registry.requests()[0].header("proxy-authorization") == "");

  SECTION("the registry's certificate is checked as without a proxy") {
    CHECK(pull("other.example", options, &message) == Code::kFailedPrecondition);
    CHECK_THAT(message, Catch::Contains("other.example") && Catch::Contains("hostname mismatch"));
  }
}

TEST_CASE("an upload goes through a tunnel") {
  authority().sign("tunnelled", "DNS:registry.example");
  std::string stored;
  TestServer registry(
      [&](const Request& request, Reply& reply) {
        if (request.method == "HEAD") return reply.respond(404, {}, "", false);
        if (request.method == "POST") return reply.respond(202, {"Location: /upload"});
        stored += request.body;
        reply.respond(request.method == "PUT" ? 201 : 202, {"Location: /upload"});
      },
      authority().server("tunnelled"));
  TunnelProxy proxy(registry.port());
  Registry client("registry.example", behind("HTTPS_PROXY", proxy.host()));
  Repository repository(client, "a/b");
  Memory here;
  repository.put(here.add(kOciLayer, kBytes), here, soon());
  CHECK(stored == kBytes);
}

TEST_CASE("a tunnel that is refused") {
  std::string message;
  int status = 0;
  TestServer proxy([&](const Request& request, Reply& reply) {
    CHECK(request.method == "CONNECT");
    CHECK(request.target == "registry.example:443");
    reply.respond(status, {}, "<html>no</html>");
  });
  const std::string name = "registry registry.example: a/b: manifest v1: registry.example: the proxy " + proxy.host();
  const auto fails = [&](int with, Code code, size_t requests, const std::string& user = "") {
    INFO(with);
    status = with;
    const size_t before = proxy.requests().size();
    CHECK(pull("registry.example", behind("HTTPS_PROXY", "http://" + user + proxy.host()), &message) == code);
    CHECK(proxy.requests().size() == before + requests);
    return message;
  };
  // Whoever is to say who he is says it at once or not at all.
  CHECK(fails(407, Code::kFailedPrecondition, 1) == name + " answers 407: its address needs USER:PASSWORD@ in front");
  CHECK(fails(407, Code::kFailedPrecondition, 1, "u:p@") ==
        name + " answers 407: it does not take the user and password of its address");
  CHECK_THAT(fails(502, Code::kUnavailable, 2), Catch::StartsWith(name + " answers 502"));
  CHECK_THAT(fails(403, Code::kUnavailable, 2), Catch::StartsWith(name + " answers 403"));
  CHECK_THAT(fails(302, Code::kUnavailable, 2), Catch::StartsWith(name + " answers 302"));
  // No status that HTTP has.
  CHECK_THAT(fails(800, Code::kUnavailable, 2), Catch::Contains("the proxy " + proxy.host()) && Catch::Contains("800"));
}

TEST_CASE("a proxy that hangs, goes or is no proxy") {
  const auto begin = Call::Clock::now();
  std::string message;
  SECTION("before it answers") {
    TestServer proxy([](const Request&, Reply& reply) { reply.hang(); });
    CHECK(pull("registry.example", behind("HTTPS_PROXY", proxy.host()), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("registry.example: no answer in time"));
    CHECK(proxy.requests().size() == 2);
  }
  SECTION("behind an open tunnel") {
    TestServer proxy([](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 Connection established\r\n\r\n");
      reply.stall();
    });
    CHECK(pull("registry.example", behind("HTTPS_PROXY", proxy.host()), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("registry.example: no answer in time"));
  }
  SECTION("with an open tunnel cut") {
    TestServer proxy([](const Request&, Reply& reply) {
      reply.raw("HTTP/1.1 200 Connection established\r\n\r\n");
      reply.close();
    });
    CHECK(pull("registry.example", behind("HTTPS_PROXY", proxy.host()), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("registry.example: "));
  }
  SECTION("with an answer that is no HTTP") {
    TestServer proxy([](const Request&, Reply& reply) {
      reply.raw("SSH-2.0-OpenSSH_9.2\r\n\r\n");
      reply.close();
    });
    CHECK(pull("registry.example", behind("HTTPS_PROXY", proxy.host()), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("registry.example: "));
  }
  SECTION("where nobody listens") {
    CHECK(pull("registry.example", behind("HTTPS_PROXY", "127.0.0.1:1"), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("127.0.0.1:1: connection refused"));
  }
  CHECK(Call::Clock::now() - begin < std::chrono::seconds(5));
}
