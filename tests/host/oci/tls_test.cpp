// TLS to a registry: whom we believe, whom not, and what we show of ourselves.
#include <catch2/catch.hpp>

#include "host/oci/authority.hpp"
#include "host/oci/sample.hpp"
#include "host/oci/temporary.hpp"
#include "host/oci/test_server.hpp"
#include "oci/repository.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;
using Poco::Net::Context;

namespace {

Call soon() {
  return Call::within(std::chrono::seconds(20));
}

const std::string kText = manifest_text(Descriptor(std::string(kOciConfig), Digest::of("{}"), 2), {});

RegistryOptions believing(const std::string& ca) {
  RegistryOptions options;
  options.http.tls.ca_file = ca;
  options.http.tls.certs_dir = "";
  options.retry.first = std::chrono::milliseconds(10);
  options.retry.attempts = 2;
  options.http.connect = std::chrono::milliseconds(2000);
  return options;
}

void answer(const Request&, Reply& reply) {
  reply.respond(200, {"Content-Type: " + std::string(kOciManifest)}, kText);
}

Code pull(const std::string& host, const RegistryOptions& options, std::string* message = nullptr) {
  return failure(
      [&] {
        Registry registry(host, options);
        Repository repository(registry, "a/b");
        for (int i = 0; i < 3; ++i) repository.manifest("v1", soon());
      },
      message);
}

}  // namespace

TEST_CASE("a registry with a certificate of an authority that we are told of") {
  TestServer server(answer, authority().server("address"));
  CHECK(pull(server.host(), believing(authority().file("ca.crt"))) == Code::kOk);
  for (const Request& request : server.requests()) CHECK(request.connection == 1);
}

TEST_CASE("a certificate for a name") {
  TestServer server(answer, authority().server("name"));
  const RegistryOptions options = believing(authority().file("ca.crt"));
  CHECK(pull("localhost:" + std::to_string(server.port()), options) == Code::kOk);
  std::string message;
  CHECK(pull(server.host(), options, &message) == Code::kFailedPrecondition);
  CHECK_THAT(message, Catch::Contains("certificate is refused: IP address mismatch"));
}

TEST_CASE("certificates that are refused, once") {
  std::string message;
  SECTION("of an authority that is not known") {
    TestServer server(answer, authority().server("address"));
    RegistryOptions options = believing("");
    options.transport = Transport::kHttps;
    CHECK(pull(server.host(), options, &message) == Code::kFailedPrecondition);
    CHECK_THAT(message, Catch::StartsWith("registry " + server.host() + ": a/b: manifest v1: ") &&
                            Catch::Contains("the certificate is refused: "));
    CHECK(server.requests().empty());
  }
  SECTION("for another name") {
    TestServer server(answer, authority().server("other"));
    CHECK(pull("localhost:" + std::to_string(server.port()), believing(authority().file("ca.crt")), &message) ==
          Code::kFailedPrecondition);
    CHECK_THAT(message, Catch::Contains("hostname mismatch"));
  }
}

TEST_CASE("docker's certs.d") {
  Temporary certs;
  TestServer server(answer, authority().server("address", true));
  RegistryOptions options = believing("");
  options.http.tls.certs_dir = certs.path;
  const auto directory = certs.path / server.host();
  write(directory / "ca.crt", contents(authority().file("ca.crt")));
  // The server asks for a certificate of ours.
  CHECK(pull(server.host(), options) == Code::kUnavailable);
  write(directory / "client.cert", contents(authority().file("client.cert")));
  write(directory / "client.key", contents(authority().file("client.key")));
  std::string message;
  pull(server.host(), options, &message);
  CHECK(message == "");
  write(directory / "client.key", contents(authority().file("name.key")));
  CHECK(pull(server.host(), options, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::Contains("not the private key of client.cert"));
  write(directory / "ca.crt", "nonsense");
  CHECK(pull(server.host(), options, &message) == Code::kInvalidArgument);
  CHECK_THAT(message, Catch::Contains("ca.crt: no certificates of authorities in PEM"));
}

TEST_CASE("what is not TLS") {
  std::string message;
  SECTION("a server without it") {
    TestServer server(answer);
    RegistryOptions options = believing(authority().file("ca.crt"));
    options.http.connect = std::chrono::milliseconds(300);
    CHECK(pull(server.host(), options, &message) == Code::kUnavailable);
  }
  SECTION("a client without it") {
    TestServer server(answer, authority().server("address"));
    RegistryOptions options = believing("");
    options.transport = Transport::kHttp;
    CHECK(pull(server.host(), options) == Code::kUnavailable);
  }
}

TEST_CASE("https never becomes http by a redirect, and no secret leaves it") {
  TestServer plain(answer);
  std::string challenge;
  TestServer server(
      [&](const Request&, Reply& reply) {
        if (!challenge.empty()) return reply.respond(401, {"WWW-Authenticate: " + challenge});
        reply.respond(307, {"Location: http://" + plain.host() + "/x"});
      },
      authority().server("address"));
  RegistryOptions options = believing(authority().file("ca.crt"));
  options.credentials = [](const std::string&, const Call&) { return Credentials{"me", "secret", "", ""}; };
  std::string message;
  CHECK(pull(server.host(), options, &message) == Code::kFailedPrecondition);
  CHECK_THAT(message, Catch::Contains("a redirect from https to http://"));
  challenge = "Bearer realm=\"http://token.example/\"";
  CHECK(pull(server.host(), options, &message) == Code::kFailedPrecondition);
  CHECK_THAT(message, Catch::Contains("the token server http://token.example/ is not asked without TLS"));
  CHECK(plain.requests().empty());
}
