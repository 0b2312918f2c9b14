// The local backend, loaded from its shared object, passes the conformance suite.
#include "api/loaded_plugin.hpp"

namespace ipcs {

TEST_CASE("local conforms") {
  const test::TemporaryDirectory directory;
  conformance::Subject subject;
  subject.plugin = test::load_plugin(IPCS_PLUGIN_DIR "/local.so");
  const bool fsync = GENERATE(true, false);
  const auto config = [&](const std::string& name) {
    return "{\"path\":\"" + (directory.path() / name).string() + "\",\"fsync\":" + (fsync ? "true" : "false") + "}";
  };
  subject.config_json = config("store");
  subject.other_config_json = config("other");
  subject.scratch_dir = directory.path().string();
  subject.digest = test::digest_of;
  test::require_conformance(subject, {"locate: the CID of a blob", "blocks: a blob's, in the order of its bytes",
                                      "adopt: more digests for bytes that are there", "car: out and in again",
                                      "prefetch: bytes are near afterwards"});
}

}  // namespace ipcs
