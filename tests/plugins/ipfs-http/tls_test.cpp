// Kubo behind https: whose certificate is taken, and what is said of one that is not.
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/StreamSocket.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <thread>

#include "api/loaded_plugin.hpp"
#include "config.hpp"
#include "fake_kubo.hpp"
#include "host/oci/authority.hpp"
#include "host/oci/test_server.hpp"
#include "kubo/rpc.hpp"

namespace ipcs::kubo {
namespace {

using namespace std::chrono_literals;
using oci::test::authority;
using oci::test::Reply;
using oci::test::Request;
using oci::test::TestServer;
using Clock = std::chrono::steady_clock;

const std::string kBig(300'000, 'x');

void answer(const Request& request, Reply& reply) {
  const bool version = request.target.find("version") != std::string::npos;
  reply.respond(200, {"Content-Type: application/json"}, version ? "{\"Version\":\"1\"}" : kBig);
}

ClientConfig config_of(const std::string& address, const std::string& ca) {
  ClientConfig config{parse_address(address), "", 5s};
  config.ca_file = ca;
  return config;
}

// What a call fails with; the message begins with Kubo's address and is one line.
std::string message_of(const std::string& address, const std::string& ca) {
  Rpc rpc(config_of(address, ca));
  const OwnCall call(Clock::now() + 10s);
  try {
    rpc.version(call.call());
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(error.code() == Code::kFailedPrecondition);
    CHECK_THAT(message, Catch::StartsWith("Kubo at " + address + ": version: "));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find("Exception") == std::string::npos);
    return message;
  }
  FAIL("it was taken");
  return {};
}

std::string rejected(const std::string& json) {
  try {
    ipfs_http::parse_config(json);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidArgument);
    return error.what();
  }
  return "taken";
}

}  // namespace

TEST_CASE("an authority that the operator names is believed") {
  TestServer server(answer, authority().server("address"));
  const ClientConfig config = config_of("https://" + server.host(), authority().file("ca.crt"));
  Rpc rpc(config);
  const OwnCall call(Clock::now() + 20s);
  for (int i = 0; i < 3; ++i) CHECK(rpc.version(call.call()) == "1");
  CHECK(server.requests().back().connection == 1);
  Client client(config);
  const std::string sent(2 << 20, 'y');
  const std::vector<std::span<const uint8_t>> file{{reinterpret_cast<const uint8_t*>(sent.data()), sent.size()}};
  CHECK(client.post_file(call.call(), "block/put", {}, file).text(call.call(), 1 << 20) == kBig);
  CHECK(server.requests().back().body.find(sent) != std::string::npos);
}

TEST_CASE("a certificate for a name") {
  TestServer server(answer, authority().server("name"));
  Rpc rpc(config_of("/dns4/localhost/tcp/" + std::to_string(server.port()) + "/https", authority().file("ca.crt")));
  const OwnCall call(Clock::now() + 20s);
  CHECK(rpc.version(call.call()) == "1");
}

TEST_CASE("a certificate that is refused: what is wrong with it, and what mends it") {
  const std::string ca = authority().file("ca.crt");
  SECTION("of an authority that nobody named") {
    TestServer server(answer, authority().server("address"));
    CHECK_THAT(message_of("https://" + server.host(), ""),
               Catch::Contains("its certificate is refused: unable to get local issuer certificate; the key \"ca\" can name "
                               "a file with the certificate of its authority") ||
                   Catch::Contains("its certificate is refused: self-signed certificate in certificate chain; the key "
                                   "\"ca\" can name a file with the certificate of its authority"));
    CHECK(server.requests().empty());
  }
  SECTION("of another authority than the one that was named") {
    const oci::test::Authority other;
    TestServer server(answer, authority().server("address"));
    CHECK_THAT(message_of("https://" + server.host(), other.file("ca.crt")),
               Catch::Contains("; its authority is not in " + other.file("ca.crt") + " (key \"ca\")"));
    CHECK(server.requests().empty());
  }
  SECTION("for another name") {
    TestServer server(answer, authority().server("other"));
    const std::string port = std::to_string(server.port());
    CHECK_THAT(message_of("https://localhost:" + port, ca),
               Catch::Contains("its certificate is refused: hostname mismatch; it is not for \"localhost\": the key "
                               "\"api\" must have a name that it is for"));
    CHECK_THAT(message_of("/ip4/127.0.0.1/tcp/" + port + "/https", ca),
               Catch::Contains("IP address mismatch; it is not for \"127.0.0.1\""));
    CHECK(server.requests().empty());
  }
}

TEST_CASE("https to a server that does not speak it, or says nothing") {
  SECTION("silence") {
    const ipfs_http::test::FakeKubo kubo([](const ipfs_http::test::FakeRequest&) { return std::string(); });
    Rpc rpc({parse_address(kubo.address() + "/https"), "", 300ms});
    const OwnCall call(Clock::now() + 10s);
    const auto begun = Clock::now();
    std::string message;
    try {
      rpc.version(call.call());
    } catch (const Error& error) {
      CHECK(error.code() == Code::kFailedPrecondition);
      message = error.what();
    }
    CHECK_THAT(message, Catch::StartsWith("Kubo at " + kubo.address()) && Catch::Contains("nothing came for"));
    CHECK(Clock::now() - begun < 5s);
  }
  SECTION("an answer in plain HTTP, as Kubo's own server gives it") {
    Poco::Net::ServerSocket listener(Poco::Net::SocketAddress("127.0.0.1", 0));
    std::thread server([&] {
      Poco::Net::StreamSocket client = listener.acceptConnection();
      char hello[4096];
      client.receiveBytes(hello, sizeof hello);
      const std::string refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400 Bad Request";
      client.sendBytes(refusal.data(), static_cast<int>(refusal.size()));
    });
    CHECK_THAT(message_of("https://127.0.0.1:" + std::to_string(listener.address().port()), ""),
               Catch::EndsWith(": it does not speak TLS; is its address http instead of https?"));
    server.join();
  }
}

TEST_CASE("the key ca") {
  const ipcs::test::TemporaryDirectory directory;
  const std::string nonsense = (directory.path() / "nonsense.pem").string(), gone = (directory.path() / "gone").string();
  std::ofstream(nonsense) << "no PEM";
  const auto with = [](const std::string& ca, const std::string& api = "https://kubo.example:5001") {
    return R"({"state":"/x","api":")" + api + R"(","ca":")" + ca + "\"}";
  };
  CHECK(ipfs_http::parse_config(with(authority().file("ca.crt"))).ca == authority().file("ca.crt"));
  CHECK(rejected(with("")) == "taken");
  CHECK(rejected(with(gone)) == "key \"ca\": " + gone + ": No such file or directory");
  CHECK(rejected(with(directory.path().string())) == "key \"ca\": " + directory.path().string() + ": is a directory");
  CHECK(rejected(with(nonsense)) == "key \"ca\": " + nonsense + ": has no certificates in PEM");
  CHECK(rejected(with(authority().file("ca.crt"), "/ip4/127.0.0.1/tcp/5001")) ==
        "key \"ca\": the key \"api\" says \"/ip4/127.0.0.1/tcp/5001\", which is not https");
  CHECK_THAT(rejected(R"({"state":"/x","ca":5})"), Catch::StartsWith("key \"ca\": a text is needed"));
}

}  // namespace ipcs::kubo
