// The backend `local` under another name: a second durable store, for tests that change from one backend to another.
#include "config.hpp"
#include "file_system.hpp"
#include "ipcs/plugin.hpp"
#include "local_store.hpp"

namespace ipcs::local {
namespace {

struct LocalTwo {
  static void validate(const plugin::Host&, std::string_view config_json) { parse_config(config_json); }

  // A store that has no id yet gets its path's.
  static std::unique_ptr<plugin::ContentStore> open(const plugin::Host&, const plugin::Call& call,
                                                    std::string_view config_json, bool read_only) {
    const Config config = parse_config(config_json);
    const std::string id = "local-two-" + std::to_string(std::hash<std::string>{}(config.path));
    return std::make_unique<LocalStore>(open_file_system(config.path, !read_only, !read_only), config, read_only, id,
                                        call);
  }
};

}  // namespace
}  // namespace ipcs::local

IPCS_PLUGIN(ipcs::local::LocalTwo, "local-two", "1", "local under another name")
