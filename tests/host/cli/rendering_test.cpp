// Sizes, times, tables and bars as text.
#include <catch2/catch.hpp>

#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

using namespace std::chrono_literals;

TEST_CASE("sizes") {
  CHECK(size_text(0) == "0B");
  CHECK(size_text(999) == "999B");
  CHECK(size_text(1234) == "1.234kB");
  CHECK(size_text(999'949) == "999.9kB");
  CHECK(size_text(999'999) == "1MB");
  CHECK(size_text(24 << 20) == "25.17MB");
  CHECK(size_text(UINT64_MAX) == "18.45EB");
}

TEST_CASE("ages") {
  CHECK(age_text(10ms) == "Less than a second");
  CHECK(age_text(-1h) == "Less than a second");
  CHECK(age_text(1s) == "1 second");
  CHECK(age_text(119s) == "1 minute");
  CHECK(age_text(25h) == "1 day");
  CHECK(age_text(24h * 800) == "2 years");
  CHECK(age_since(0) == "-");
}

TEST_CASE("durations are read as they are written") {
  CHECK(parse_duration("10s") == 10s);
  CHECK(parse_duration("10") == 10s);
  CHECK(parse_duration("0") == 0s);
  CHECK(parse_duration("1.5s") == 1500ms);
  CHECK(parse_duration("1m30s") == 90s);
  CHECK(parse_duration("2h") == 2h);
  for (const char* wrong : {"", "s", "-1s", "1x", "1m30", "1 s", "nan", "inf", "1e300s", "99999999h"}) {
    INFO(wrong);
    CHECK_FALSE(parse_duration(wrong));
  }
  for (const auto duration : {1500ms, 90000ms, 7200000ms, 250ms, 3661000ms})
    CHECK(parse_duration(duration_text(duration)) == duration);
}

TEST_CASE("times") {
  CHECK(time_text(0) == "");
  CHECK(time_text(1) == "1970-01-01T00:00:00.000000001Z");
  CHECK(time_text(1'700'000'000'500'000'000) == "2023-11-14T22:13:20.5Z");
  CHECK(time_text(-1) == "1969-12-31T23:59:59.999999999Z");
}

TEST_CASE("foreign text can't move the cursor") {
  CHECK(printable("a\x1b[2J\n\x7f") == "a\\x1b[2J\\x0a\\x7f");
  CHECK(printable("Grüße ✓") == "Grüße ✓");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");           // a control character of Latin-1
  CHECK(printable("\xff\xc3") == "\\xff\\xc3");           // no UTF-8
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(printable("\xc0\x80") == "\\xc0\\x80");           // overlong
  CHECK(columns("Grüße ✓") == 7);
  CHECK(shortened("Grüße ✓", 5) == "Grüß…");
  CHECK(shortened("ab", 2) == "ab");
}

TEST_CASE("tables are aligned and leave no space at the ends of lines") {
  Table table({{"NAME"}, {"SIZE", Table::Align::kRight}, {"NOTE"}});
  table.add({"é", "5B", ""});
  table.add({"longer", "10.5MB", "x\ty"});
  CHECK(table.render() ==
        "NAME      SIZE  NOTE\n"
        "é           5B\n"
        "longer  10.5MB  x\\x09y\n");
  Table bare({{""}, {""}});
  CHECK(bare.render() == "");
  bare.add({"a:", "b"});
  CHECK(bare.render() == "a:  b\n");
}

TEST_CASE("a bar says as much as there is room for") {
  const ProgressState state{"verify", "sha256:" + std::string(64, 'a'), 1'500'000, 6'000'000, 500'000};
  CHECK(render_bar(state, 100) ==
        "verify sha256:aaaaaaaaaaa… [=========>                            ]  25% 1.5MB/6MB 500kB/s 10s left");
  CHECK(render_bar(state, 68) == "verify sha256:aaaaaaaaaaa…  25% 1.5MB/6MB 500kB/s 10s left");
  CHECK(render_bar(state, 40) == "verify  25% 1.5MB/6MB 500kB/s 10s left");
  CHECK(render_bar(state, 12) == "verify  25%");
  CHECK(render_bar(state, 4) == "ver…");
  for (size_t width = 1; width < 200; ++width) CHECK(columns(render_bar(state, width)) <= width);
}

TEST_CASE("a bar without a total, and at its end") {
  CHECK(render_bar({"get", "x", 1000, 0, 0}, 80) == "get x 1kB");
  CHECK(render_bar({"get", "", 10, 10, 5}, 60) == "get [====================================] 100% 10B/10B 5B/s");
  CHECK(render_bar({"get", "", 20, 10, 5}, 30) == "get 100% 20B/10B 5B/s");
}

TEST_CASE("the line for a log") {
  CHECK(render_line({"verify", "x", 1'500'000, 6'000'000, 500'000}) == "verify: 1.5MB of 6MB (25%), 500kB/s, 10s left");
  CHECK(render_line({"get", "x", 1000, 0, 0}) == "get: 1kB");
}

TEST_CASE("the rate is smoothed") {
  const RateMeter::Clock::time_point start{};
  RateMeter meter(start);
  CHECK(meter.update(start + 100ms, 500) == 0);  // too soon to tell
  CHECK(meter.update(start + 1s, 1000) == Approx(1000));
  const double slower = meter.update(start + 2s, 1000);
  CHECK(slower < 1000);
  CHECK(slower > 500);
  CHECK(meter.update(start + 60s, 1000) == Approx(0));
}

}  // namespace
}  // namespace ipcs::cli
