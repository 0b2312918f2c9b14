// The HTTP endpoint over a real socket.
#include "metrics/endpoint.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <stdexcept>
#include <string>

using namespace ipcs;
using namespace ipcs::metrics;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

// Sends `request` to a port on loopback and returns all of the answer.
std::string exchange(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t got; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, static_cast<size_t>(got));
  ::close(fd);
  return answer;
}
std::string ask(const Endpoint& endpoint, const std::string& method, const std::string& path) {
  return exchange(endpoint.port(), method + ' ' + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
}
std::string get(const Endpoint& endpoint, const std::string& path) {
  return ask(endpoint, "GET", path);
}
std::string body(const std::string& answer) {
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

size_t threads() {
  size_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) count += task.exists();
  return count;
}

}  // namespace

TEST_CASE("metrics over HTTP") {
  Metrics metrics;
  const Endpoint endpoint("127.0.0.1:0", metrics, [] { return std::string(); });
  REQUIRE(endpoint.port() > 0);
  metrics.bytes_read().add(5);
  const std::string answer = get(endpoint, "/metrics");
  CHECK_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  CHECK_THAT(answer, Contains("Content-Type: text/plain; version=0.0.4"));
  CHECK_THAT(body(answer), Contains("\nipcs_read_bytes_total 5\n"));
  CHECK_THAT(get(endpoint, "/metrics?name=x"), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("liveness, and readiness with its reason") {
  Metrics metrics;
  std::string reason = "the catalog is being read";
  const Endpoint endpoint("127.0.0.1:0", metrics, [&] {
    if (reason == "throw") throw std::runtime_error("readiness is broken");
    return reason;
  });
  CHECK(body(get(endpoint, "/livez")) == "ok\n");
  CHECK_THAT(get(endpoint, "/readyz"), StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  CHECK(body(get(endpoint, "/readyz")) == "the catalog is being read\n");
  reason.clear();
  CHECK_THAT(get(endpoint, "/readyz"), StartsWith("HTTP/1.1 200"));
  CHECK(body(get(endpoint, "/readyz")) == "ok\n");
  reason = "throw";
  CHECK_THAT(get(endpoint, "/readyz"), StartsWith("HTTP/1.1 500"));
  CHECK_THAT(get(endpoint, "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("nothing else is served") {
  Metrics metrics;
  const Endpoint endpoint("127.0.0.1:0", metrics, [] { return std::string(); });
  for (const char* path : {"/", "/metrics/", "/metricsx", "/etc/passwd", "/../etc/passwd", "/%2e%2e/etc/passwd"})
    CHECK_THAT(get(endpoint, path), StartsWith("HTTP/1.1 404"));
  CHECK_THAT(ask(endpoint, "POST", "/metrics"), StartsWith("HTTP/1.1 405") && Contains("Allow: GET, HEAD"));
  CHECK_THAT(ask(endpoint, "DELETE", "/livez"), StartsWith("HTTP/1.1 405"));
  const std::string head = ask(endpoint, "HEAD", "/livez");
  CHECK_THAT(head, StartsWith("HTTP/1.1 200") && Contains("Content-Length: 3"));
  CHECK(body(head).empty());
  CHECK_THAT(exchange(endpoint.port(), "nonsense\r\n\r\n"), !Contains(" 200 "));
  CHECK_THAT(get(endpoint, "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("an address in use is an error that names it") {
  Metrics metrics;
  const Endpoint first("127.0.0.1:0", metrics, [] { return std::string(); });
  const std::string address = "127.0.0.1:" + std::to_string(first.port());
  try {
    const Endpoint second(address, metrics, [] { return std::string(); });
    FAIL("two endpoints on " << address);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kUnavailable);
    const std::string message = error.what();
    INFO(message);
    CHECK_THAT(message, StartsWith("metrics address " + address + ": "));
    CHECK_THAT(message, Contains("in use"));
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK_THROWS_AS(Endpoint("nonsense", metrics, [] { return std::string(); }), Error);
  CHECK_THAT(get(first, "/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_CASE("metrics alone have no thread, and an endpoint leaves none") {
  const size_t before = threads();
  Metrics metrics;
  metrics.rpc("/s/m").done(Code::kOk, std::chrono::milliseconds(1));
  CHECK(metrics.scrape().size() > 100);
  CHECK(threads() == before);
  {
    const Endpoint endpoint("127.0.0.1:0", metrics, [] { return std::string(); });
    CHECK(threads() > before);
    CHECK(threads() <= before + 3);
  }
  CHECK(threads() == before);
}

TEST_CASE("a host name, and all addresses") {
  Metrics metrics;
  for (const char* address : {"localhost:0", "0.0.0.0:0"}) {
    const Endpoint endpoint(address, metrics, [] { return std::string(); });
    CHECK_THAT(get(endpoint, "/livez"), StartsWith("HTTP/1.1 200"));
  }
}

TEST_CASE("an endpoint stops at once") {
  Metrics metrics;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    const Endpoint endpoint("127.0.0.1:0", metrics, [] { return std::string(); });
    CHECK_THAT(get(endpoint, "/livez"), StartsWith("HTTP/1.1 200"));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}
