// The backend "ipfs-http" as a plugin.
#include "config.hpp"
#include "kubo_store.hpp"

#ifndef IPCS_VERSION
#error "the build names the version"
#endif

namespace ipcs::ipfs_http {
namespace {

// The two static functions that IPCS_PLUGIN asks for.
struct IpfsHttp {
  static void validate(const plugin::Host&, std::string_view config_json) { parse_config(config_json); }

  static std::unique_ptr<plugin::ContentStore> open(const plugin::Host& host, const plugin::Call& call,
                                                    std::string_view config_json, bool read_only) {
    return std::make_unique<KuboStore>(host, call, parse_config(config_json), read_only);
  }
};

}  // namespace
}  // namespace ipcs::ipfs_http

IPCS_PLUGIN(ipcs::ipfs_http::IpfsHttp, "ipfs-http", IPCS_VERSION, "DAGs in a Kubo, over its RPC API")
