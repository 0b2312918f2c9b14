// Servers that hang: every wait ends, and the message says for what.
#include <catch2/catch.hpp>
#include <stop_token>
#include <thread>

#include "host/oci/registry_pair.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

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
