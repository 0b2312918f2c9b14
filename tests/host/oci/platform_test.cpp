// Platforms: written forms, and which image a machine takes.
#include "oci/platform.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "host/oci/sample.hpp"

using namespace ipcs::oci;
using ipcs::Code;
using ipcs::oci::test::failure;

TEST_CASE("platforms in their written forms") {
  const std::vector<std::pair<std::string, std::string>> forms{
      {"linux/amd64", "linux/amd64"},    {"linux/x86_64", "linux/amd64"},      {"Linux/AMD64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"}, {"linux/amd64/v3", "linux/amd64/v3"}, {"linux/aarch64", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"}, {"linux/arm64/8", "linux/arm64"},     {"linux/arm64/v9.0", "linux/arm64/v9"},
      {"linux/arm", "linux/arm/v7"},     {"linux/arm/7", "linux/arm/v7"},      {"linux/armhf", "linux/arm/v7"},
      {"linux/armel", "linux/arm/v6"},   {"linux/arm/6", "linux/arm/v6"},      {"linux/i386", "linux/386"},
      {"macos/arm64", "darwin/arm64"},   {"linux/s390x", "linux/s390x"},       {"riscv64", "linux/riscv64"},
      {"arm64", "linux/arm64"}};
  for (const auto& [text, normal] : forms) {
    INFO(text);
    CHECK(Platform::parse(text).to_string() == normal);
    CHECK(Platform::parse(normal) == Platform::parse(text));
  }
  CHECK(Platform::parse("windows").os == "windows");
  for (const std::string bad :
       {"", "/", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "linux//v7", "a\nb", "linux(10)/amd64"}) {
    INFO(bad);
    std::string message;
    CHECK(failure([&] { Platform::parse(bad); }, &message) == Code::kInvalidArgument);
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK_FALSE(Platform::current().architecture.empty());
}

TEST_CASE("platforms in JSON") {
  CHECK(Platform::from_json({{"architecture", "arm"}, {"os", "linux"}, {"variant", "v6"}}).to_string() ==
        "linux/arm/v6");
  CHECK(Platform::from_json({{"architecture", "amd64"}, {"os", nullptr}}).to_string() == "linux/amd64");
  CHECK(failure([] { Platform::from_json({{"architecture", 7}}); }) == Code::kInvalidArgument);
  CHECK(failure([] { Platform::from_json(nlohmann::json::array()); }) == Code::kInvalidArgument);
}

TEST_CASE("which images a machine runs, best first") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> machines{
      {"linux/amd64", {"linux/amd64", "linux/386"}},
      {"linux/amd64/v3", {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"}},
      {"linux/arm/v7", {"linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}},
      {"linux/arm/v5", {"linux/arm/v5"}},
      {"linux/arm64", {"linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"}},
      {"linux/arm64/v8.2", {"linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64", "linux/arm/v8", "linux/arm/v7"}},
      {"linux/arm64/v9.1",
       {"linux/arm64/v9.1", "linux/arm64/v9", "linux/arm64/v8.6", "linux/arm64/v8.5", "linux/arm64/v8.1", "linux/arm64",
        "linux/arm/v8"}},
      {"linux/s390x", {"linux/s390x"}},
  };
  for (const auto& [machine, images] : machines) {
    INFO(machine);
    std::optional<size_t> last;
    for (const std::string& image : images) {
      INFO(image);
      const auto own = rank(Platform::parse(machine), Platform::parse(image));
      REQUIRE(own);
      if (last) CHECK(*last < *own);
      last = own;
    }
  }
  for (const auto& [machine, image] : {std::pair("linux/amd64", "linux/amd64/v2"),
                                       {"linux/amd64", "linux/arm64"},
                                       {"linux/amd64", "windows/amd64"},
                                       {"linux/arm/v6", "linux/arm/v7"},
                                       {"linux/386", "linux/amd64"},
                                       {"linux/arm64", "linux/arm64/v8.1"},
                                       {"linux/arm64/v9", "linux/arm64/v8.6"},
                                       {"linux/amd64", "unknown/unknown"}}) {
    INFO(machine << " " << image);
    CHECK_FALSE(rank(Platform::parse(machine), Platform::parse(image)));
  }
}
