// The backend "local" as a plugin.
#include <sys/random.h>

#include <array>

#include "config.hpp"
#include "file_system.hpp"
#include "ipcs/plugin.hpp"
#include "local_store.hpp"

#ifndef IPCS_VERSION
#error "the build names the version"
#endif

namespace ipcs::local {
namespace {

std::string random_id() {
  std::array<uint8_t, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error(Code::kInternal, "the kernel gives no random bytes");
  std::string id;
  for (const uint8_t byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

// The two static functions that IPCS_PLUGIN asks for.
struct Local {
  static void validate(const plugin::Host&, std::string_view config_json) { parse_config(config_json); }

  static std::unique_ptr<plugin::ContentStore> open(const plugin::Host& host, const plugin::Call& call,
                                                    std::string_view config_json, bool read_only) {
    const Config config = parse_config(config_json);
    if (!config.fsync)
      host.log(IPCS_LOG_WARN, config.path + ": fsync is off, blobs do not survive a power loss", &call);
    return std::make_unique<LocalStore>(open_file_system(config.path, !read_only, !read_only), config, read_only,
                                        random_id(), call,
                                        [host](const std::string& what) { host.log(IPCS_LOG_WARN, what); });
  }
};

}  // namespace
}  // namespace ipcs::local

IPCS_PLUGIN(ipcs::local::Local, "local", IPCS_VERSION, "files under blobs/<algorithm>/<hex> of a directory")
