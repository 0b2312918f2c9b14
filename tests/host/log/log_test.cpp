// Log lines: format, escaping of hostile values, levels, and threads that write at once.
#include "log/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "ipcs/error.hpp"
#include "log/render.hpp"

using namespace ipcs::log;
using std::chrono::system_clock;

namespace {

const system_clock::time_point kTime{std::chrono::microseconds(1'772'366'400'000'123)};

std::string text(std::string_view message, Fields fields = {}) {
  return render_text(kTime, Level::kInfo, message, fields);
}

nlohmann::json json(std::string_view message, Fields fields = {}) {
  return nlohmann::json::parse(render_json(kTime, Level::kInfo, message, fields));
}

// What `body` writes to descriptor 2.
template <class Body>
std::vector<std::string> stderr_of(Body body) {
  char path[] = "/tmp/ipcs-log-test-XXXXXX";
  const int file = ::mkstemp(path);
  REQUIRE(file >= 0);
  const int saved = ::dup(2);
  REQUIRE(::dup2(file, 2) == 2);
  body();
  ::dup2(saved, 2);
  ::close(saved);
  ::close(file);
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  ::unlink(path);
  return lines;
}

}  // namespace

TEST_CASE("a text line has time, level, message and fields") {
  CHECK(text("serving", {{"socket", "/run/ipcs/ipcs.sock"}, {"took", "5 ms"}}) ==
        "time=2026-03-01T12:00:00.000123Z level=info msg=\"serving\" socket=/run/ipcs/ipcs.sock took=\"5 ms\"");
}

TEST_CASE("text values of any bytes are quoted and escaped") {
  const auto value = [](std::string v) {
    const std::string line = text("m", {{"k", std::move(v)}});
    return line.substr(line.find(" k=") + 3);
  };
  CHECK(value("") == "\"\"");
  CHECK(value("sha256:ab/c-d_e.f") == "sha256:ab/c-d_e.f");
  CHECK(value("a b") == "\"a b\"");
  CHECK(value("a=b") == "\"a=b\"");
  CHECK(value("say \"hi\"") == "\"say \\\"hi\\\"\"");
  CHECK(value("c:\\x") == "\"c:\\\\x\"");
  CHECK(value("a\nlevel=error\r\t") == "\"a\\nlevel=error\\r\\t\"");
  CHECK(value(std::string("\0\x1b[31m\x7f", 7)) == "\"\\u0000\\u001b[31m\\u007f\"");
  CHECK(value("größe 漢 😀") == "\"größe 漢 😀\"");
  CHECK(value("\xff\xc0\x80") == "\"\\xff\\xc0\\x80\"");
  CHECK(value("\xed\xa0\x80") == "\"\\xed\\xa0\\x80\"");           // a surrogate
  CHECK(value("\xf4\x90\x80\x80") == "\"\\xf4\\x90\\x80\\x80\"");  // beyond Unicode
  CHECK(value("\xe6\xbc") == "\"\\xe6\\xbc\"");                    // cut short
  CHECK(value("\u202egnp.exe") == "\"\\u202egnp.exe\"");
  CHECK(value("\u0085\u2028") == "\"\\u0085\\u2028\"");
  CHECK(value("\U000e0041") == "\"\\U000e0041\"");
}

TEST_CASE("no byte in a value or message can begin another line") {
  for (int first = 0; first < 256; ++first) {
    for (const char* rest : {"", "\n", "\x80", "\xa8\xa8"}) {
      const std::string bytes = static_cast<char>(first) + std::string(rest);
      const std::string line = text(bytes, {{bytes, bytes}});
      for (const char c : line) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
      CHECK(render_json(kTime, Level::kInfo, bytes, {{bytes, bytes}}).find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("keys are kept plain and can't pass for the line's own") {
  CHECK(text("m", {{"a b\n", "1"}}).ends_with(" a_b_=1"));
  CHECK(text("m", {{"", "1"}}).ends_with(" _=1"));
  CHECK(text("m", {{"level", "error"}}).ends_with(" fields.level=error"));
  CHECK(json("m", {{"msg", "other"}})["msg"] == "m");
  CHECK(json("m", {{"msg", "other"}})["fields.msg"] == "other");
}

TEST_CASE("a JSON line parses and replaces what is not UTF-8") {
  const auto line = json("ser\"ving\n", {{"ref",
                                          "a\xff"
                                          "b"},
                                         {"word", "größe"}});
  CHECK(line["time"] == "2026-03-01T12:00:00.000123Z");
  CHECK(line["level"] == "info");
  CHECK(line["msg"] == "ser\"ving\n");
  CHECK(line["ref"] ==
        "a\xef\xbf\xbd"
        "b");
  CHECK(line["word"] == "größe");
  const std::string raw = render_json(kTime, Level::kWarn, "größe", {});
  CHECK(std::all_of(raw.begin(), raw.end(), [](char c) { return c >= ' ' && c < 127; }));
}

TEST_CASE("level and format names") {
  CHECK(parse_level("debug") == Level::kDebug);
  CHECK(parse_level("error") == Level::kError);
  CHECK(parse_format("json") == Format::kJson);
  CHECK_THROWS_AS(parse_level("INFO"), ipcs::Error);
  CHECK_THROWS_WITH(parse_level("loud"), "the log level is one of debug, info, warn, error, not \"loud\"");
  CHECK_THROWS_WITH(parse_format("xml"), "the log format is text or json, not \"xml\"");
}

TEST_CASE("a level that is off writes nothing") {
  const auto lines = stderr_of([] {
    const Log log(Level::kWarn);
    CHECK_FALSE(log.enabled(Level::kInfo));
    CHECK(log.enabled(Level::kError));
    log.info("quiet");
    log.debug("quiet");
    log.warn("{} loud %v", {{"k", "{}"}});
    const Log none = Log::none();
    CHECK_FALSE(none.enabled(Level::kError));
    none.error("nobody hears this");
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with("level=warn msg=\"{} loud %v\" k={}"));
}

TEST_CASE("the time of a line is the time of writing") {
  const auto before = system_clock::now();
  const auto lines = stderr_of([] { Log(Level::kInfo, Format::kJson).info("now"); });
  REQUIRE(lines.size() == 1);
  std::tm tm{};
  const std::string time = nlohmann::json::parse(lines[0])["time"];
  REQUIRE(::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &tm) != nullptr);
  const auto written = system_clock::from_time_t(::timegm(&tm));
  CHECK(written > before - std::chrono::seconds(2));
  CHECK(written < before + std::chrono::seconds(60));
}

TEST_CASE("lines of many threads stay whole") {
  constexpr int kThreads = 8, kLines = 500;
  const auto lines = stderr_of([] {
    const Log log;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([copy = log, t] {
        for (int i = 0; i < kLines; ++i) {
          copy.info(std::string(200, static_cast<char>('a' + t)), {{"n", std::to_string(t * kLines + i)}});
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  REQUIRE(lines.size() == kThreads * kLines);
  std::set<int> seen;
  for (const std::string& line : lines) {
    const int n = std::stoi(line.substr(line.rfind("n=") + 2));
    CHECK(line.find("msg=\"" + std::string(200, static_cast<char>('a' + n / kLines)) + "\"") != std::string::npos);
    seen.insert(n);
  }
  CHECK(seen.size() == kThreads * kLines);
}
