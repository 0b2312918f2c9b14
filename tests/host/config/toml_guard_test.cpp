// The look at a TOML text before it is parsed.
#include "config/toml_guard.hpp"

#include <catch2/catch.hpp>
#include <string>

using ipcs::config::find_unsafe;
using ipcs::config::kNestingMax;

namespace {

std::string repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

// The line of what is unsafe in the text, 0 when nothing is.
size_t too_deep(const std::string& text) {
  const auto unsafe = find_unsafe(text);
  if (!unsafe) return 0;
  CHECK(unsafe->problem == "tables or keys nested deeper than 32 levels");
  return unsafe->line;
}
size_t not_ascii(const std::string& text) {
  const auto unsafe = find_unsafe(text);
  if (!unsafe) return 0;
  CHECK(unsafe->problem.starts_with("a character outside of ASCII"));
  return unsafe->line;
}

}  // namespace

TEST_CASE("depth up to the limit is fine") {
  CHECK(0 == too_deep(""));
  CHECK(0 == too_deep(repeat("a.", kNestingMax) + "a = 1\n" + repeat("b.", kNestingMax) + "b = 1"));
  CHECK(0 == too_deep("a = " + repeat("[", kNestingMax) + repeat("]", kNestingMax)));
  CHECK(0 == too_deep("a = [" + repeat("1.5, ", 1000) + "]"));
  CHECK(0 == too_deep(repeat("[a]\n", 1000)));
  CHECK(0 == too_deep(repeat("[[a]]\n", 1000)));
}

TEST_CASE("more is found, with its line") {
  CHECK(too_deep("\n\n" + repeat("a.", kNestingMax + 1) + "a = 1") == 3u);
  CHECK(too_deep("x = 1\n[" + repeat("a.", 500'000) + "a]") == 2u);
  CHECK(too_deep("a = " + repeat("[\n", kNestingMax + 1)) == kNestingMax + 1);
  CHECK(too_deep("a = " + repeat("{a=", kNestingMax + 1)) == 1u);
  CHECK(too_deep("a = [ # ]]]]\n" + repeat("[", kNestingMax)) == 2u);
  CHECK(too_deep("'a'" + repeat(".'a'", kNestingMax + 1) + " = 1") == 1u);
}

TEST_CASE("strings and comments do not count, and what follows them does") {
  const std::string deep = repeat("[", 40) + repeat(".", 40);
  for (const std::string& quiet : std::initializer_list<std::string>{
           "# " + deep, "a = \"" + deep + "\"", "a = '" + deep + "'", "a = \"\"\"\n" + deep + "\"\"\"",
           "a = '''\n" + deep + "'''", "a = \"\\\"" + deep + "\"", "a = \"\"\"x\"\"" + deep + "\"\"\"\"\"",
           "a = \"\"\"\\\"\"\"" + deep + "\"\"\"", "a = '\\'\nb = '" + deep + "'"}) {
    CAPTURE(quiet);
    CHECK(0 == too_deep(quiet));
    const std::string followed = quiet + "\n" + deep;
    CHECK(too_deep(followed) == static_cast<size_t>(std::count(quiet.begin(), quiet.end(), '\n')) + 2);
  }
}

TEST_CASE("characters outside of ASCII stand in strings and comments") {
  CHECK(not_ascii("# ä\na = \"ä\"\nb = 'ä'\n\"ä\" = 1\nc = \"\"\"ä\nä\"\"\"\nd = '''ä\\\nä'''") == 0);
  CHECK(not_ascii("\xef\xbb\xbf# a byte order mark\na = 1") == 0);
  CHECK(not_ascii("a = \"\\n ä\"\nb = \"\"\"a\\\n  b ä\"\"\"") == 0);
  CHECK(not_ascii("\nä = 1") == 2);
  CHECK(not_ascii("a = 1\u3042") == 1);
  CHECK(not_ascii("a = 1\n\xef\xbb\xbf") == 2);
  CHECK(not_ascii("[a]\n\xff") == 2);
  CHECK(not_ascii("a = \"x\" ä") == 1);
  CHECK(not_ascii("a = \"\\ä\"") == 1);
  CHECK(not_ascii("a = \"\"\"x\\  \n\n \tä\"\"\"") == 3);
  CHECK(not_ascii("a = \"\"\"x\\ ä\"\"\"") == 1);
}

TEST_CASE("a quote inside of a value or key begins no string") {
  CHECK(not_ascii("a = 1'ä'") == 1);
  CHECK(not_ascii("a = 1.'ä'") == 1);
  CHECK(not_ascii("a = 2026-01-01 'ä'") == 1);
  CHECK(not_ascii("a = [1, 2.'ä']") == 1);
  CHECK(not_ascii("a = [1,\n 2'ä']") == 2);
  CHECK(not_ascii("a = \"x\"'ä'") == 1);
  CHECK(not_ascii("a'ä' = 1") == 1);
  CHECK(not_ascii("a.'ä' = 1\n1 . 'ä' = 2\n[a.'ä']\n[[ 'ä' . \"ä\" ]]") == 0);
  CHECK(not_ascii("a = { 'ä' = 'ä', b.'ä' = ['ä', 'ä',\n'ä'], c = 'ä' }") == 0);
  CHECK(not_ascii("a = [ 'ä', { b = 1, 'ä' = 2 }, [ 'ä' ] ]\n'ä' = 1") == 0);
}
