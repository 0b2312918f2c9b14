// TLS to a registry: whom we believe, whom not, and what we show of ourselves; through a proxy too.
#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <cstdlib>

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

void run(const std::string& command) {
  const int status = std::system((command + " 2>/dev/null").c_str());
  if (status != 0) throw std::runtime_error(command);
}

// An authority and what it signed, made by the openssl command.
struct Authority {
  Authority() {
    run("cd " + path() +
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "
        "ca.key -out ca.crt");
    sign("address", "IP:127.0.0.1");
    sign("name", "DNS:localhost");
    sign("other", "DNS:other.example");
    sign("client", "DNS:client");
  }
  std::string path() const { return temporary.path; }
  std::string file(const std::string& name) const { return temporary.path / name; }
  void sign(const std::string& name, const std::string& alternative) const {
    run("cd " + path() + " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
        " -keyout " + name + ".key -out " + name + ".csr && printf 'subjectAltName=" + alternative + "' > " + name +
        ".ext && openssl x509 -req -in " + name + ".csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile " +
        name + ".ext -out " + name + ".cert");
  }
  Context::Ptr server(const std::string& name, bool wants_certificate = false) const {
    Context::Ptr context(new Context(Context::TLS_SERVER_USE, file(name + ".key"), file(name + ".cert"), file("ca.crt"),
                                     Context::VERIFY_NONE));
    if (wants_certificate)
      SSL_CTX_set_verify(context->sslContext(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return context;
  }
  Temporary temporary;
};

const Authority& authority() {
  static const Authority kAuthority;
  return kAuthority;
}

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

TEST_CASE("through a proxy") {
  // Names that only the proxy knows: it takes them all to the registry.
  TestServer plain(answer);
  std::map<std::string, std::string> variables;
  SECTION("plain requests with whole URLs") {
    TestServer proxy([&](const Request& request, Reply& reply) {
      CHECK(request.target == "http://registry.example:5000/v2/a/b/manifests/v1");
      CHECK(request.header("host") == "registry.example:5000");
      CHECK(request.header("proxy-authorization") == "Basic dTpw");
      answer(request, reply);
    });
    variables["HTTP_PROXY"] = "http://u:p@" + proxy.host();
    RegistryOptions options = believing("");
    options.transport = Transport::kHttp;
    options.http.proxies = Proxies([&](const std::string& name) { return variables[name]; });
    CHECK(pull("registry.example:5000", options) == Code::kOk);
    CHECK(proxy.requests().size() == 3);
  }
  SECTION("a tunnel that is refused") {
    TestServer proxy([&](const Request& request, Reply& reply) {
      CHECK(request.method == "CONNECT");
      CHECK(request.target == "registry.example:443");
      reply.respond(407);
    });
    variables["HTTPS_PROXY"] = proxy.host();
    RegistryOptions options = believing("");
    options.http.proxies = Proxies([&](const std::string& name) { return variables[name]; });
    std::string message;
    CHECK(pull("registry.example", options, &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::Contains("registry.example: the proxy " + proxy.host() + " answers 407"));
  }
}
