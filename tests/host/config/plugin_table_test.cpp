// Tables of plugins: from a text of their own with settings over it, and where a plugin's complaint belongs.
#include "config/config.hpp"
#include "fixture.hpp"

namespace ipcs::config {
namespace {

std::string json(std::string_view text, const std::vector<std::string>& settings = {}) {
  return plugin_json(text, "t.toml", settings);
}

TEST_CASE("a plugin's table from a text of its own") {
  CHECK(json("") == "{}");
  CHECK(json("a = 1\nb = \"x\"\n[c]\nd = [true, 2.5]\n") == R"({"a":1,"b":"x","c":{"d":[true,2.5]}})");
  CHECK(error_of([] { json("a = 1\nb ="); }).starts_with("t.toml:2: not TOML: "));
  CHECK(error_of([] { json("a = 2024-01-01"); }).starts_with("t.toml:1: \"the table.a\" is a date"));
}

TEST_CASE("settings are laid over it") {
  CHECK(json("a = 1\n[c]\nd = 1\ne = 2", {"a=2", "c.d=[3]", "f.g=true"}) ==
        R"({"a":2,"c":{"d":[3],"e":2},"f":{"g":true}})");
  CHECK(json("c = 1", {"c.d=1"}) == R"({"c":{"d":1}})");
  CHECK(json("", {"a=1", "a=2"}) == R"({"a":2})");
  // What is no TOML value is a string, whatever it holds.
  CHECK(json("", {"a=10GiB", "b=/x y", "c={dir}/s", "d=", "e=\"1\"", "f=a=b", "g='\""}) ==
        R"({"a":"10GiB","b":"/x y","c":"{dir}/s","d":"","e":"1","f":"a=b","g":"'\""})");
  CHECK(json("", {"a=1\nb=2"}) == R"({"a":"1\nb=2"})");
  CHECK(error_of([] { json("", {"a"}); }) == "setting \"a\" wants the form key=value");
  CHECK(error_of([] { json("", {"=1"}); }) == "setting \"=1\" wants the form key=value");
  CHECK(error_of([] { json("", {"a b=1"}); }) == "setting \"a b=1\" wants a TOML key before the \"=\"");
}

TEST_CASE("a plugin's complaint is placed in the file") {
  const std::string file =
      "version = 1\n"
      "[plugins.other]\nquota = 1\n"
      "[plugins.mine]\nquota = 2\nquota-soft = 3\n"
      "[plugins.mine.peers]\nlimit = 4\n";
  const auto placed = [&](const std::string& message, const std::string& plugin = "mine") {
    return plugin_problem(file, "c.toml", plugin, message);
  };
  CHECK(placed("key \"quota\": too small") == "c.toml:5: key \"quota\": too small");
  CHECK(placed("quota-soft: above quota") == "c.toml:6: quota-soft: above quota");  // the longest
  CHECK(placed("limit is odd") == "c.toml:8: limit is odd");
  CHECK(placed("no quotation") == "c.toml:4: no quotation");
  CHECK(placed("quota", "other") == "c.toml:3: quota");
  CHECK(placed("quota", "third") == "quota");
  CHECK(plugin_problem("version = 1", "c.toml", "mine", "quota") == "quota");
}

TEST_CASE("what is wrong with a key's value is told with its line, unless another one is meant") {
  const std::string file = "version = 1\n\nbackend = \"locl\"\n[plugins.local]\nprevious = \"tape\"\n";
  CHECK(key_problem(file, "c.toml", "backend", "locl", "no such plugin") == "c.toml:3: no such plugin");
  CHECK(key_problem(file, "c.toml", "backend", "tape", "no such plugin") == "no such plugin");
  CHECK(key_problem(file, "c.toml", "previous", "tape", "no such plugin") == "no such plugin");
  CHECK(key_problem(file, "c.toml", "version", "1", "no such plugin") == "no such plugin");
}

}  // namespace
}  // namespace ipcs::config
