// The minimal plugin of examples/ conforms: built in the tree, by another compiler and standard library, and on its own
// with find_package.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "loaded_plugin.hpp"

namespace ipcs {
namespace {

void require_memory_plugin_conforms(const std::string& path) {
  const test::TemporaryDirectory scratch;
  conformance::Subject subject;
  subject.plugin = test::load_plugin(path);
  subject.config_json = "{}";
  subject.other_config_json = "{}";  // each open makes a store of its own
  subject.scratch_dir = scratch.path().string();
  subject.digest = test::digest_of;
  subject.quirks.durable = false;
  subject.quirks.read_only = false;
  test::require_conformance(subject, {"store: reopening keeps id and blobs", "store: read-only changes nothing",
                                      "ingest: resumed after reopening the store",
                                      "locate: the CID of a blob", "blocks: a blob's, in the order of its bytes",
                                      "adopt: more digests for bytes that are there", "car: out and in again",
                                      "prefetch: bytes are near afterwards"});
}

// Runs a command; its output is shown when it fails.
void require_success(const std::string& command, const std::filesystem::path& log) {
  const int status = std::system((command + " >" + log.string() + " 2>&1").c_str());
  std::ostringstream output;
  output << std::ifstream(log).rdbuf();
  INFO(command << "\n" << output.str());
  REQUIRE(status == 0);
}

}  // namespace

TEST_CASE("the example plugin conforms") {
  require_memory_plugin_conforms(IPCS_EXAMPLE_PLUGIN);
}

TEST_CASE("the example plugin, built by clang++ with libc++, conforms in this g++ program") {
  const std::string path = IPCS_TEST_PLUGIN_DIR "/memory-libcxx.so";
  INFO("needs clang++-14, libc++-14-dev and libc++abi-14-dev at configuration: " << path);
  REQUIRE(std::filesystem::exists(path));
  CHECK(std::string(test::load_plugin(path)->build).find("libc++") != std::string::npos);
  require_memory_plugin_conforms(path);
}

TEST_CASE("the example plugin builds out of the tree with find_package and conforms") {
  const test::TemporaryDirectory directory;
  const std::string at = directory.path().string();
  const auto log = directory.path() / "log";
  const std::string cmake = IPCS_CMAKE;
  require_success(cmake + " --install " IPCS_BUILD_DIR " --prefix " + at + "/installed --component development", log);
  require_success(cmake + " -S " IPCS_EXAMPLE_SOURCE " -B " + at + "/build -DCMAKE_PREFIX_PATH=" + at +
                      "/installed -DCMAKE_CXX_COMPILER=" IPCS_CXX,
                  log);
  require_success(cmake + " --build " + at + "/build", log);
  require_memory_plugin_conforms(at + "/build/memory.so");
}

}  // namespace ipcs
