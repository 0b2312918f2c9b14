// Filters answer as containerd's do (golden vectors made by tests/peers/cmd/filter-vectors), within limits of their
// own.
#include "content/filter.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ipcs/error.hpp"

using ipcs::Code;
using ipcs::Error;
using ipcs::content::BlobAdaptor;
using ipcs::content::Filter;
using ipcs::content::IngestAdaptor;
using nlohmann::json;

namespace {

// A string of the vectors, which is {"hex": …} where it is not UTF-8.
std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  const std::string hex = value.at("hex");
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

std::vector<std::string> texts_of(const json& list) {
  std::vector<std::string> all;
  for (const json& one : list) all.push_back(text_of(one));
  return all;
}

struct Blob {
  std::string digest;
  BlobAdaptor::Labels labels;
};

bool plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 127; });
}

Filter parse(std::vector<std::string> filters) {
  return Filter::parse(filters);
}

// The message with which one filter is refused.
std::string refusal(const std::string& filter) {
  try {
    parse({filter});
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

bool matches(const std::string& filter, const BlobAdaptor::Labels& labels) {
  return parse({filter}).matches(BlobAdaptor("sha256:00", labels));
}

}  // namespace

TEST_CASE("filters answer as containerd's") {
  std::ifstream file(IPCS_TEST_DATA "/filters.json");
  REQUIRE(file);
  const json data = json::parse(file);
  std::vector<Blob> blobs;
  for (const json& blob : data.at("blobs")) {
    Blob made{text_of(blob.at("digest")), {}};
    for (const json& label : blob.at("labels")) made.labels[text_of(label.at(0))] = text_of(label.at(1));
    blobs.push_back(std::move(made));
  }
  const std::vector<std::string> refs = texts_of(data.at("ingests"));
  REQUIRE(data.at("vectors").size() > 700);

  size_t refused = 0, messages = 0, selective = 0;
  for (const json& vector : data.at("vectors")) {
    const std::vector<std::string> filters = texts_of(vector.at("filters"));
    INFO("filters: " << vector.at("filters").dump());
    if (vector.contains("error")) {
      ++refused;
      std::string message;
      try {
        Filter::parse(filters);
        FAIL_CHECK("accepted, but containerd says " << vector.at("error").dump());
      } catch (const Error& error) {
        CHECK(error.code() == Code::kInvalidArgument);
        message = error.what();
      }
      // What can't be shown in one line, or is long, is shown differently.
      const std::string theirs = text_of(vector.at("error"));
      if (plain(theirs) && theirs.size() < 120) {
        CHECK(message == theirs);
        ++messages;
      }
      continue;
    }
    const Filter filter = Filter::parse(filters);
    std::vector<size_t> found_blobs, found_refs;
    for (size_t i = 0; i < blobs.size(); ++i) {
      if (filter.matches(BlobAdaptor(blobs[i].digest, blobs[i].labels))) found_blobs.push_back(i);
    }
    for (size_t i = 0; i < refs.size(); ++i) {
      if (filter.matches(IngestAdaptor(refs[i]))) found_refs.push_back(i);
    }
    CHECK(json(found_blobs) == vector.value("blobs", json::array()));
    CHECK(json(found_refs) == vector.value("ingests", json::array()));
    if (!found_blobs.empty() && found_blobs.size() < blobs.size()) ++selective;
  }
  CHECK(refused > 200);
  CHECK(messages > 150);
  CHECK(selective > 130);
}

TEST_CASE("an error's message is one line of bounded length that shows the place") {
  CHECK(refusal("labels.foo,") == "filters: parse error: [labels.foo,]: expected field or quoted");
  CHECK(refusal("labels.é==x") == "filters: parse error: [labels. >|é|< ==x]: expected field or quoted");
  CHECK(refusal("labels.foo==a\nb") == "filters: parse error: [labels.foo==a >|?|< b]: unexpected input: ?");
  CHECK(refusal("a==\xff") == "filters: parse error: [a== >|?|< ]: rune error");

  const std::string key(200, 'k');
  const std::string message = refusal("labels." + key + "?" + key);
  CHECK(message == "filters: parse error: […" + std::string(80, 'k') + " >|?|< " + std::string(80, 'k') +
                       "…]: expected an operator (\"==\"|\"!=\"|\"~=\")");

  // Excerpts are not cut inside a character, and bytes that are none don't matter.
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "牛";
  CHECK(nlohmann::json(refusal("a==x " + wide)).dump().size() < 600);
  CHECK(nlohmann::json(refusal("\"" + wide + "\"?" + wide)).dump().size() < 900);
  CHECK(refusal("a" + std::string(1000, '=')).size() < 400);
  CHECK(refusal("a?" + std::string(300, '\x80')).size() < 250);
  CHECK(refusal(std::string(300, '\x80')).size() < 250);
}

TEST_CASE("filters differ from containerd's where those are wrong") {
  // containerd reads \U80000000 and above as the number's lowest byte.
  CHECK(refusal("labels.foo==\"\\UFFFFFF41\"") ==
        "filters: parse error: [labels.foo== >|\"|< \\UFFFFFF41\"]: unquoting failed: quote syntax error");
}

TEST_CASE("regular expressions") {
  CHECK(matches("labels.a~=^x+$", {{"a", "xxx"}}));
  CHECK_FALSE(matches("labels.a~=^x+$", {{"a", "xxy"}}));
  SECTION("a wrong one matches nothing") {
    CHECK_FALSE(matches("labels.a~=[", {{"a", "["}}));
    CHECK_FALSE(matches("labels.a~=\"(a)\\\\1\"", {{"a", "aa"}}));
  }
  SECTION("time is linear in the text") {
    const std::string text = std::string(1 << 20, 'a') + "!";
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(matches("labels.a~=/^(a+)+(a|aa)*(.*a){12}$/", {{"a", text}}));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
  }
  SECTION("one that needs too much memory is refused") {
    const std::string message = refusal("labels.a~=/((((\\\\pL{30}){30}|\\\\pN{900}))|(\\\\pS{1000}))*/");
    CHECK_THAT(message, Catch::Contains("is too large"));
    CHECK(message.size() < 200);
    CHECK(matches("labels.a~=/^.{1000}$/", {{"a", std::string(1000, 'a')}}));
  }
}

TEST_CASE("limits") {
  using ipcs::content::kMaxFilterBytes, ipcs::content::kMaxPatterns, ipcs::content::kMaxSelectors;
  const auto message = [](const std::vector<std::string>& filters) {
    try {
      Filter::parse(filters);
    } catch (const Error& error) {
      CHECK(error.code() == Code::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  SECTION("bytes, of all filters together") {
    const std::string most = "labels.foo==" + std::string(kMaxFilterBytes - 12, 'x');
    CHECK(message({most}) == "accepted");
    CHECK(message({most, "a"}) == "filters: 65537 bytes of filters, at most 65536 are accepted");
  }
  SECTION("selectors, of all filters together") {
    std::string half = "a";
    for (size_t i = 1; i < kMaxSelectors / 2; ++i) half += ",a";
    CHECK(message({half, half}) == "accepted");
    CHECK(message({half, half, "a"}) == "filters: more than 1000 selectors");
    CHECK(message(std::vector<std::string>(kMaxSelectors)) == "accepted");
    CHECK(message(std::vector<std::string>(kMaxSelectors + 1)) == "filters: more than 1000 selectors");
  }
  SECTION("regular expressions, of all filters together") {
    CHECK(message(std::vector<std::string>(kMaxPatterns, "a~=x")) == "accepted");
    CHECK(message(std::vector<std::string>(kMaxPatterns + 1, "a~=x")) == "filters: more than 64 regular expressions");
  }
}

TEST_CASE("a filter is a value") {
  Filter one = parse({"labels.a~=^x", "digest==sha256:00"});
  const Filter copy = one;
  one = parse({"labels.nope"});
  CHECK(copy.matches(BlobAdaptor("", {{"a", "xy"}})));
  CHECK(copy.matches(BlobAdaptor("sha256:00", {})));
  CHECK_FALSE(copy.matches(BlobAdaptor("", {{"a", "yx"}})));
  CHECK_FALSE(one.matches(BlobAdaptor("sha256:00", {})));
}
