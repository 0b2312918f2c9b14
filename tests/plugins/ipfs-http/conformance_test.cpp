// The backend ipfs-http, loaded from its shared object, passes the conformance suite on a real Kubo.
#include "running_kubo.hpp"

namespace ipcs {

TEST_CASE("ipfs-http conforms") {
  const test::TemporaryDirectory directory;
  ipfs_http::test::RunningKubo kubo;
  conformance::Subject subject;
  subject.plugin = test::load_plugin(IPCS_PLUGIN_DIR "/ipfs-http.so");
  const auto config = [&](const std::string& name) {
    return "{\"state\":\"" + (directory.path() / name).string() + "\",\"prefix\":\"/" + name + "\",\"api\":\"" +
           kubo.address() + "\"}";
  };
  subject.config_json = config("store");
  subject.other_config_json = config("other");
  subject.scratch_dir = directory.path().string();
  subject.digest = test::digest_of;
  test::require_conformance(subject, {});
}

}  // namespace ipcs
