// Uploads to a registry that stalls: each ends within its bounds and says for what it waited.
#include <catch2/catch.hpp>
#include <stop_token>
#include <thread>

#include "host/oci/authority.hpp"
#include "host/oci/registry_pair.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

// More than lies between two sockets.
const std::string kLarge(24 << 20, 'z');

RegistryOptions impatient() {
  RegistryOptions options = quick();
  options.retry.attempts = 2;
  options.http.answer = milliseconds(300);
  options.http.progress = milliseconds(300);
  options.whole_upload_up_to = 1000;
  return options;
}

// A registry that stalls at requests of `method`: reads nothing of their bodies, or reads them and never answers.
struct Stalling {
  Stalling(const std::string& method, bool reads, bool secure = false)
      : server(
            [method](const Request& request, Reply& reply) {
              if (request.method == method) return reply.stall();
              if (request.method == "HEAD") return reply.respond(404, {}, "", false);
              reply.respond(request.method == "PUT" ? 201 : 202, {"Location: /upload", "Range: 0-0"});
            },
            secure ? authority().server("address") : nullptr,
            [=](const Request& request) { return reads || request.method != method; }),
        transport(secure ? Transport::kHttps : Transport::kHttp) {}

  Code put(const std::string& bytes, RegistryOptions options, std::string* message, const Call& call = soon()) {
    options.transport = transport;
    if (transport == Transport::kHttps) options.http.tls = {authority().file("ca.crt"), ""};
    Registry registry(server.host(), options);
    Repository repository(registry, "a/b");
    Memory here;
    const Descriptor blob = here.add(kOciLayer, bytes);
    name = "registry " + server.host() + ": a/b: blob " + blob.digest().to_string() + ": ";
    return failure([&] { repository.put(blob, here, call); }, message);
  }

  TestServer server;
  const Transport transport;
  std::string name;  // begins the message of the last put()
};

}  // namespace

TEST_CASE("uploads to a registry that stalls end in time") {
  const auto begin = Call::Clock::now();
  std::string message;
  SECTION("one that stops reading") {
    const bool secure = GENERATE(false, true);
    Stalling registry("PATCH", false, secure);
    CHECK(registry.put(kLarge, impatient(), &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::StartsWith(registry.name) &&
                            Catch::Contains("nothing of the request's body was taken for too long"));
    CHECK(registry.server.count("PATCH", "") == 2);
  }
  SECTION("one that reads all and never answers") {
    for (const std::string method : {"POST", "PATCH", "PUT"}) {
      INFO(method);
      Stalling registry(method, true);
      CHECK(registry.put(kBytes, impatient(), &message) == Code::kUnavailable);
      CHECK_THAT(message, Catch::StartsWith(registry.name) && Catch::Contains("no answer in time"));
      CHECK(registry.server.count(method, "") == 2);
    }
  }
  SECTION("one that never says how much it has") {
    // The first try breaks off, the second asks.
    TestServer server([](const Request& request, Reply& reply) {
      if (request.method == "GET") return reply.stall();
      if (request.method == "HEAD") return reply.respond(404, {}, "", false);
      if (request.method == "PATCH") return reply.close();
      reply.respond(202, {"Location: /upload"});
    });
    Registry registry(server.host(), impatient());
    Repository repository(registry, "a/b");
    Memory here;
    const Descriptor blob = here.add(kOciLayer, kBytes);
    CHECK(failure([&] { repository.put(blob, here, soon()); }, &message) == Code::kUnavailable);
    CHECK(server.count("GET", "") >= 1);
  }
  SECTION("small blobs, which travel with their PUT") {
    RegistryOptions options = impatient();
    options.whole_upload_up_to = kLarge.size();
    Stalling registry("PUT", false);
    CHECK(registry.put(kLarge, options, &message) == Code::kUnavailable);
    CHECK_THAT(message, Catch::StartsWith(registry.name) &&
                            Catch::Contains("nothing of the request's body was taken for too long"));
  }
  CHECK(Call::Clock::now() - begin < std::chrono::seconds(8));
}

TEST_CASE("the caller's own limits end a stalled upload") {
  std::string message;
  const bool reads = GENERATE(false, true);
  Stalling registry("PATCH", reads);
  const auto begin = Call::Clock::now();
  SECTION("a deadline") {
    CHECK(registry.put(kLarge, RegistryOptions{}, &message, Call::within(milliseconds(700))) == Code::kDeadlineExceeded);
    CHECK_THAT(message, Catch::StartsWith(registry.name));
  }
  SECTION("a word") {
    std::stop_source stop;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(milliseconds(700));
      stop.request_stop();
    });
    CHECK(registry.put(kLarge, RegistryOptions{}, &message, Call{Call::Clock::time_point::max(), stop.get_token()}) ==
          Code::kCancelled);
  }
  CHECK(Call::Clock::now() - begin < std::chrono::seconds(5));
}
