// Turns a plugin's refusal into a line about the file that the operator wrote.
#include "daemon/backend_config.hpp"

#include "ipcs/error.hpp"
#include "plugin/probe.hpp"

namespace ipcs::daemon {
namespace {

// Runs `body`, which refuses the plugin's table with kInvalidArgument and the plugin's path in front.
template <class Body>
auto with_line(const config::Config& config, const loader::PluginFile& plugin, Body body) {
  try {
    return body();
  } catch (const Error& e) {
    if (e.code() != Code::kInvalidArgument || config.file.empty()) throw;
    const std::string message = e.what(), prefix = plugin.path + ": ";
    const std::string said = message.starts_with(prefix) ? message.substr(prefix.size()) : message;
    const std::string placed = config::plugin_problem(config::read_text(config.file), config.file, plugin.name, said);
    if (placed == said) throw;  // the file has no such table: the plugin's own path says more
    throw Error(e.code(), placed);
  }
}

}  // namespace

loader::LoadedPlugin load_plugin(const config::Config& config, const loader::Registry& registry,
                                 const std::string& name) {
  return with_line(config, registry.select(name),
                   [&] { return registry.load(name, config::plugin_json(config, name), loader::ProbeOptions()); });
}

void check_plugins(const config::Config& config) {
  const loader::Registry registry = loader::Registry::scan(config.plugin_dirs, loader::Identity::current());
  for (const std::string& name : {config.backend, config.previous}) {
    if (name.empty()) continue;
    const loader::PluginFile& file = registry.select(name);
    with_line(config, file, [&] { loader::probe(file.path, config::plugin_json(config, name), {}); });
  }
}

}  // namespace ipcs::daemon
