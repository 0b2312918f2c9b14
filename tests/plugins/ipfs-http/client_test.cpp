// The RPC client against a Kubo that misbehaves.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/loaded_plugin.hpp"
#include "config.hpp"
#include "fake_kubo.hpp"
#include "kubo/client.hpp"
#include "kubo/rpc.hpp"

namespace ipcs::kubo {
namespace {

using namespace std::chrono_literals;
using ipfs_http::test::FakeKubo;
using ipfs_http::test::FakeRequest;
using Clock = std::chrono::steady_clock;

ClientConfig config_of(const FakeKubo& kubo, std::chrono::milliseconds silence = 2s) {
  return {parse_address(kubo.address()), "", silence};
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::kOk, "it succeeded");
}

// What `command` fails with when Kubo answers so; the message names Kubo's address and the command.
Error error_for(const std::string& answer, std::chrono::milliseconds silence = 2s) {
  const FakeKubo kubo([&](const FakeRequest&) { return answer; });
  Client client(config_of(kubo, silence));
  const OwnCall call(Clock::now() + 10s);
  const Error error = error_of([&] { client.post(call.call(), "files/stat", {{"arg", "/x"}}).json(call.call(), 1000); });
  const std::string message = error.what();
  CHECK(message.find(kubo.address()) != std::string::npos);
  CHECK(message.find("files/stat") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < IPCS_MESSAGE_MAX);
  return error;
}

}  // namespace

TEST_CASE("addresses are multiaddrs or URLs") {
  CHECK(parse_address("/ip4/10.1.2.3/tcp/5001").host_header() == "10.1.2.3:5001");
  CHECK(parse_address("/ip6/::1/tcp/81/http").host_header() == "[::1]:81");
  CHECK(parse_address("/dns4/kubo.example/tcp/443/https").tls);
  CHECK(parse_address("/unix/run/ipfs/api.sock").path == "/run/ipfs/api.sock");
  CHECK(parse_address("http://localhost:5001/api/v0/").prefix.empty());
  const Address behind = parse_address("https://proxy.example/ipfs/");
  CHECK(behind.tls);
  CHECK(behind.port == 443);
  CHECK(behind.prefix == "/ipfs");
  for (const char* text : {"", "/", "/ip4", "/ip4/1.2.3.4/tcp/0", "/ip4/1.2.3.4/tcp/70000", "/ip4/1.2.3.4/udp/1", "/unix/",
                           "ftp://x", "http://", "http://u:p@x", "http://x?y", "/ip4/1.2.3.4/tcp/1/quic", "a b", "127.0.0.1:5001"}) {
    INFO(text);
    CHECK(error_of([&] { parse_address(text); }).code() == Code::kInvalidArgument);
  }
}

TEST_CASE("the address comes from ipfs's own repository when none is given") {
  const ipcs::test::TemporaryDirectory directory;
  ::setenv("IPFS_PATH", directory.path().c_str(), 1);
  CHECK(default_address() == "/ip4/127.0.0.1/tcp/5001");
  std::ofstream(directory.path() / "api") << "/ip4/127.0.0.1/tcp/4242\n";
  CHECK(default_address() == "/ip4/127.0.0.1/tcp/4242");
  ::unsetenv("IPFS_PATH");
}

TEST_CASE("a call is a POST that no browser could have made, and connections are kept") {
  FakeKubo kubo([](const FakeRequest&) { return FakeKubo::chunked("{\"Version\":\"1\"}"); });
  ClientConfig config = config_of(kubo);
  config.authorization = ipfs_http::authorization("basic user:pass word");
  Rpc rpc(config);
  const OwnCall call;
  for (int i = 0; i < 5; ++i) CHECK(rpc.version(call.call()) == "1");
  CHECK(kubo.connections() == 1);
  const auto requests = kubo.requests();
  REQUIRE(requests.size() == 5);
  CHECK(requests[0].head.starts_with("POST /api/v0/version HTTP/1.1\r\n"));
  CHECK(requests[0].head.find("Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n") != std::string::npos);
  for (const char* field : {"Origin:", "Referer:", "Mozilla"}) CHECK(requests[0].head.find(field) == std::string::npos);
  CHECK(ipfs_http::authorization("bearer abc") == "Bearer abc");
  for (const char* wrong : {"abc", "basic x", "bearer ", "digest a:b"})
    CHECK(error_of([&] { ipfs_http::authorization(wrong); }).code() == Code::kInvalidArgument);
}

TEST_CASE("a unix socket serves as well") {
  const ipcs::test::TemporaryDirectory directory;
  const FakeKubo kubo([](const FakeRequest&) { return FakeKubo::plain("{\"Version\":\"2\"}"); }, (directory.path() / "s").string());
  Rpc rpc(config_of(kubo));
  const OwnCall call;
  CHECK(rpc.version(call.call()) == "2");
}

TEST_CASE("a connection that was closed while idle costs nothing") {
  FakeKubo kubo([](const FakeRequest&) { return FakeKubo::plain("{\"Version\":\"3\"}", "200 OK", "X: Connection: close\r\n"); });
  Rpc rpc(config_of(kubo));
  const OwnCall call;
  for (int i = 0; i < 4; ++i) {
    CHECK(rpc.version(call.call()) == "3");
    std::this_thread::sleep_for(5ms);
  }
  CHECK(kubo.requests().size() == 4);
}

TEST_CASE("what Kubo reports becomes the right code") {
  const auto said = [](const std::string& message, const std::string& status = "500 Internal Server Error") {
    return error_for(FakeKubo::plain("{\"Message\":\"" + message + "\",\"Code\":0,\"Type\":\"error\"}", status)).code();
  };
  CHECK(said("block was not found locally (offline): ipld: could not find Qm") == Code::kNotFound);
  CHECK(said("file does not exist") == Code::kNotFound);
  CHECK(said("write /blocks/x: no space left on device") == Code::kResourceExhausted);
  CHECK(said("something else") == Code::kInternal);
  CHECK(said("no", "403 Forbidden") == Code::kPermissionDenied);
  CHECK(said("no", "401 Unauthorized") == Code::kUnauthenticated);
  CHECK(error_for(FakeKubo::plain("<html>bad\ngateway", "502 Bad Gateway")).code() == Code::kInternal);
  CHECK(error_for(FakeKubo::plain("", "404 Not Found")).code() == Code::kInternal);
  // No code that containerd takes for "try again for ever".
  CHECK(said("x") != Code::kUnavailable);
}

TEST_CASE("answers that are none are errors") {
  CHECK(error_for("garbage\r\n\r\n").code() != Code::kOk);
  CHECK(error_for(std::string(100'000, 'x') + "Connection: close").code() != Code::kOk);
  CHECK(error_for(FakeKubo::plain("no json")).code() == Code::kInternal);
  CHECK(error_for(FakeKubo::plain(std::string(2000, ' '))).code() == Code::kInternal);  // more than was allowed
  CHECK(error_for("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"a\":1}").code() == Code::kFailedPrecondition);
  CHECK(error_for("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\n{\"a\"").code() ==
        Code::kFailedPrecondition);
  CHECK(error_for("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").code() == Code::kInternal);
  CHECK(error_for("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(20'000, '1')).code() == Code::kInternal);
  CHECK(error_for("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").code() == Code::kInternal);  // an empty body is no JSON
  CHECK(error_for("\r\nConnection: close\r\n").code() != Code::kOk);
  for (const char* length : {"|||", "-3", "99999999999999999999"}) {
    CHECK(error_for("HTTP/1.1 200 OK\r\nContent-Length: " + std::string(length) + "\r\nConnection: close\r\n\r\nabc").code() ==
          Code::kInternal);
  }
  const std::string strange = error_for("HTTP/1.1 200 OK\r\n\x02" "a\n\r\n").what();
  CHECK(std::none_of(strange.begin(), strange.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }));
}

TEST_CASE("an error behind the body is an error") {
  const Error error = error_for(FakeKubo::chunked("{}", "merkledag: not found"));
  CHECK(error.code() == Code::kNotFound);
  CHECK(std::string(error.what()).find("merkledag") != std::string::npos);
}

TEST_CASE("silence ends") {
  const auto begin = Clock::now();
  const Error error = error_for("", 200ms);
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(Clock::now() - begin < 3s);
}

TEST_CASE("a call ends with its deadline and when it is cancelled") {
  const FakeKubo kubo([](const FakeRequest&) { return std::string(); });
  Rpc rpc(config_of(kubo, 30s));
  const auto begin = Clock::now();
  const OwnCall late(Clock::now() + 150ms);
  CHECK(error_of([&] { rpc.version(late.call()); }).code() == Code::kDeadlineExceeded);
  OwnCall cancelled;
  std::thread other([&] {
    std::this_thread::sleep_for(150ms);
    cancelled.cancel();
  });
  CHECK(error_of([&] { rpc.version(cancelled.call()); }).code() == Code::kCancelled);
  other.join();
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a Kubo that is not there is told so") {
  const OwnCall call;
  Rpc rpc({parse_address("/ip4/127.0.0.1/tcp/1"), "", 1s});
  const Error error = error_of([&] { rpc.version(call.call()); });
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK(std::string(error.what()) == "Kubo at /ip4/127.0.0.1/tcp/1: version: Connection refused");
  Rpc nobody({parse_address("/unix/nowhere/at/all.sock"), "", 1s});
  CHECK(error_of([&] { nobody.version(call.call()); }).code() == Code::kFailedPrecondition);
}

TEST_CASE("a block that is larger than a block may be is not taken in") {
  const FakeKubo kubo([](const FakeRequest&) { return FakeKubo::chunked(std::string(3 << 20, 'x')); });
  Rpc rpc(config_of(kubo));
  const OwnCall call;
  const auto cid = ipld::Cid::parse("QmS1zmGjPHCBo86uSqdFCrXjXwB6XC1vgH7H5bftp4NouE");
  CHECK(error_of([&] { rpc.block_get(call.call(), cid, Reach::kNetwork); }).code() == Code::kDataLoss);
}

TEST_CASE("an import counts only when Kubo says that it ended, and that the pin is there") {
  std::string answer;
  const FakeKubo kubo([&](const FakeRequest&) { return FakeKubo::chunked(answer); });
  Rpc rpc(config_of(kubo));
  const OwnCall call;
  const std::vector<uint8_t> car(3 << 20);
  const auto import = [&] { return error_of([&] { rpc.dag_import(call.call(), {car}, true); }).code(); };
  answer = "{\"Root\":{\"Cid\":{\"/\":\"x\"},\"PinErrorMsg\":\"\"}}\n{\"Stats\":{\"BlockCount\":1}}\n";
  CHECK(import() == Code::kOk);
  answer = "{\"Root\":{\"Cid\":{\"/\":\"x\"},\"PinErrorMsg\":\"\"}}\n";
  CHECK(import() == Code::kInternal);
  answer = "";
  CHECK(import() == Code::kInternal);
  answer = "{\"Root\":{\"Cid\":{\"/\":\"x\"},\"PinErrorMsg\":\"ipld: could not find y\"}}\n{\"Stats\":{}}\n";
  CHECK(import() == Code::kNotFound);
  answer = "[[[[";
  CHECK(import() == Code::kInternal);
}

TEST_CASE("a refusal in the middle of an upload is heard") {
  // Answers before it has read the body, as a proxy with a size limit does.
  const FakeKubo kubo([](const FakeRequest& request) {
    return request.body > (1 << 20) ? FakeKubo::plain("{\"Message\":\"no space left on device\"}", "500 Internal Server Error", "X: Connection: close\r\n") : FakeKubo::plain("{}");
  });
  Rpc rpc(config_of(kubo));
  const OwnCall call(Clock::now() + 10s);
  const std::vector<uint8_t> car(32 << 20);
  CHECK(error_of([&] { rpc.dag_import(call.call(), {car}, false); }).code() == Code::kResourceExhausted);
}

}  // namespace ipcs::kubo

namespace ipcs::ipfs_http {

TEST_CASE("the configuration is checked key by key") {
  const auto code = [](const std::string& json) {
    try {
      parse_config(json);
      return Code::kOk;
    } catch (const Error& error) {
      return error.code();
    }
  };
  CHECK(parse_config("{\"state\":\"/s\",\"timeout\":\"5s\",\"cache\":\"16MiB\"}").timeout == std::chrono::seconds(5));
  CHECK(parse_config("{\"state\":\"/s\",\"timeout\":\"500ms\"}").timeout == std::chrono::milliseconds(500));
  CHECK(parse_config("{\"state\":\"/s\",\"cache\":\"16MiB\"}").cache == 16 << 20);
  for (const char* wrong :
       {"{}", "[]", "{\"state\":1}", "{\"state\":\"\"}", "{\"state\":\"/s\",\"api\":\"x\"}", "{\"state\":\"/s\",\"auth\":\"x\"}",
        "{\"state\":\"/s\",\"prefix\":\"ipcs\"}", "{\"state\":\"/s\",\"prefix\":\"/\"}", "{\"state\":\"/s\",\"prefix\":\"/a/../b\"}",
        "{\"state\":\"/s\",\"timeout\":\"0s\"}", "{\"state\":\"/s\",\"timeout\":\"x\"}",
        "{\"state\":\"/s\",\"timeout\":18446744073709552}", "{\"state\":\"/s\",\"cache\":\"1XB\"}",
        "{\"state\":\"/s\",\"full_at\":2}", "{\"state\":\"/s\",\"adress\":\"x\"}"}) {
    INFO(wrong);
    CHECK(code(wrong) == Code::kInvalidArgument);
  }
}

}  // namespace ipcs::ipfs_http
