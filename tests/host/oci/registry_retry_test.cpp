// What is tried again, how long after, and where it goes on.
#include <atomic>
#include <catch2/catch.hpp>

#include "host/oci/registry_pair.hpp"

using namespace ipcs::oci;
using namespace ipcs::oci::test;
using ipcs::Code;

namespace {

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
