// Nearest words.
#include "config/nearest.hpp"

#include <array>
#include <catch2/catch.hpp>

using ipcs::config::nearest;

namespace {
constexpr std::array<std::string_view, 7> kKnown{"root", "address", "backend", "name", "uid", "gid", "plugin_dirs"};
}

TEST_CASE("one slip of each kind is forgiven") {
  CHECK(nearest("adress", kKnown) == "address");    // missing
  CHECK(nearest("addresss", kKnown) == "address");  // too many
  CHECK(nearest("addresz", kKnown) == "address");   // wrong
  CHECK(nearest("adderss", kKnown) == "address");   // swapped
  CHECK(nearest("rot", kKnown) == "root");
  CHECK(nearest("nmae", kKnown) == "name");
  CHECK(nearest("Plugin-Dirs", kKnown) == "plugin_dirs");
  CHECK(nearest("ROOT", kKnown) == "root");
  CHECK(nearest("plugindir", kKnown) == "plugin_dirs");
}

TEST_CASE("the nearest wins, and the first of equals") {
  constexpr std::array<std::string_view, 3> kWords{"status", "stat", "start"};
  CHECK(nearest("starts", kWords) == "start");
  CHECK(nearest("fid", kKnown) == "uid");
}

TEST_CASE("what is too far has no neighbour") {
  CHECK_FALSE(nearest("compression", kKnown));
  CHECK_FALSE(nearest("backdoor", kKnown));
  CHECK_FALSE(nearest("", kKnown));
  CHECK_FALSE(nearest("address", {}));
  CHECK_FALSE(nearest(std::string(100'000, 'a'), kKnown));
  constexpr std::array<std::string_view, 1> kOne{"a"};
  CHECK_FALSE(nearest("b", kOne));
}

TEST_CASE("the longest words compared") {
  const std::string known(64, 'x');
  const std::string_view words[] = {known};
  CHECK(nearest(std::string(63, 'x') + "y", words) == known);
  CHECK_FALSE(nearest(std::string(64, 'y'), words));
}
