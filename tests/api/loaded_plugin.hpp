// For tests: a plugin opened with dlopen alone, and the suite's view of it.
#pragma once

#include <dlfcn.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <string>

#include "ipcs/conformance.hpp"
#include "oci/digest.hpp"

namespace ipcs::test {

// Loads a plugin and leaves it loaded, as the host does. The test fails when that does not work.
inline const ipcs_plugin* load_plugin(const std::string& path) {
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const char* error = library == nullptr ? ::dlerror() : "";
  INFO(path << ": " << error);
  REQUIRE(library != nullptr);
  const void* symbol = ::dlsym(library, IPCS_PLUGIN_SYMBOL);
  REQUIRE(symbol != nullptr);
  return static_cast<const ipcs_plugin*>(symbol);
}

// A directory of its own for one test, removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ipcs-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string digest_of(std::string_view algorithm, std::span<const uint8_t> bytes) {
  return oci::Digest::of(bytes, algorithm == "sha512" ? oci::Algorithm::kSha512 : oci::Algorithm::kSha256).to_string();
}

// Runs the whole suite. Every case must pass, but for those in `not_offered`, which must say that they are not offered.
inline void require_conformance(const conformance::Subject& subject, const std::set<std::string>& not_offered) {
  std::set<std::string> skipped;
  const auto results = conformance::run_all(subject);
  for (const conformance::Result& result : results) {
    INFO(result.name << ": " << conformance::to_string(result.outcome) << ": " << result.message);
    if (result.outcome == conformance::Outcome::kNotOffered) skipped.insert(result.name);
    CHECK(result.outcome != conformance::Outcome::kFailed);
  }
  CHECK(skipped == not_offered);
  CHECK(results.size() >= 49);
}

}  // namespace ipcs::test
