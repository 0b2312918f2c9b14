// The traceparent header, well formed and hostile.
#include "trace/context.hpp"

#include <catch2/catch.hpp>
#include <random>

using ipcs::trace::parse_traceparent;

namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736", kSpan = "00f067aa0ba902b7";
const std::string kGood = "00-" + kTrace + "-" + kSpan + "-01";

}  // namespace

TEST_CASE("a traceparent is read") {
  const auto context = parse_traceparent(kGood);
  REQUIRE(context);
  CHECK(context->trace_hex() == kTrace);
  CHECK(context->span_hex() == kSpan);
  CHECK(context->sampled);
  CHECK(context->trace_id[0] == 0x4b);
  CHECK(context->span_id[7] == 0xb7);
  CHECK_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-00")->sampled);
  CHECK_FALSE(parse_traceparent("00-" + kTrace + "-" + kSpan + "-fe")->sampled);
  CHECK(parse_traceparent("00-" + kTrace + "-" + kSpan + "-ff")->sampled);
}

TEST_CASE("later versions may have more fields") {
  const std::string later = "cc-" + kTrace + "-" + kSpan + "-01";
  CHECK(parse_traceparent(later));
  CHECK(parse_traceparent(later + "-what the future brings"));
  CHECK(parse_traceparent(later + "-"));
  CHECK_FALSE(parse_traceparent(later + "."));
  CHECK_FALSE(parse_traceparent(later + "0"));
}

TEST_CASE("what is no traceparent is passed over") {
  const std::string bad = GENERATE(
      std::string(), std::string("00"), kGood.substr(0, 54), kGood + "-", kGood + " ", kGood + "-01", " " + kGood,
      "ff-" + kTrace + "-" + kSpan + "-01", "0g-" + kTrace + "-" + kSpan + "-01",
      "00-" + std::string(32, '0') + "-" + kSpan + "-01", "00-" + kTrace + "-" + std::string(16, '0') + "-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kSpan + "-01", "00-" + kTrace + "-" + kSpan + "-0x",
      "00_" + kTrace + "-" + kSpan + "-01", "00-" + kTrace + "_" + kSpan + "-01", "00-" + kTrace + "-" + kSpan + "_01",
      std::string(55, '-'), std::string(55, '\0'), std::string(1 << 20, 'a'));
  CAPTURE(bad.substr(0, 80));
  CHECK_FALSE(parse_traceparent(bad));
}

TEST_CASE("a traceparent with one byte changed is read as itself or not at all") {
  for (size_t at = 0; at < kGood.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = kGood;
      text[at] = static_cast<char>(byte);
      if (const auto context = parse_traceparent(text)) {
        CHECK(text.substr(3, 32) == context->trace_hex());
        CHECK(text.substr(36, 16) == context->span_hex());
      }
    }
  }
}
