// Turns a plugin's refusal into a line about the file that the operator wrote.
#include "daemon/backend_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "config/nearest.hpp"
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

// The text with the line of the plugin's table in front, where there is a file.
std::string at_table(const config::Config& config, const std::string& plugin, const std::string& text) {
  if (config.file.empty()) return text;
  return config::plugin_problem(config::read_text(config.file), config.file, plugin, text);
}

}  // namespace

void check_tables(const config::Config& config, const loader::Registry& registry,
                  const std::function<void(const std::string&)>& warn) {
  std::vector<std::string_view> names;
  for (const loader::PluginFile& file : registry.files()) names.push_back(file.name);
  for (const auto& [name, table] : config.plugins) {
    if (table == "{}" || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string text = fmt::format("[plugins.{}]: there is no such plugin", name);
    if (const auto meant = config::nearest(name, names))
      throw Error(Code::kInvalidArgument, at_table(config, name, fmt::format("{} (did you mean \"{}\"?)", text, *meant)));
    warn(at_table(config, name, text));
  }
}

const loader::PluginFile& select_plugin(const config::Config& config, const loader::Registry& registry,
                                        std::string_view key) {
  const std::string& name = key == "previous" ? config.previous : config.backend;
  try {
    return registry.select(name, key);
  } catch (const Error& e) {
    if (e.code() != Code::kInvalidArgument || config.file.empty()) throw;
    throw Error(e.code(), config::key_problem(config::read_text(config.file), config.file, key, name, e.what()));
  }
}

loader::LoadedPlugin load_plugin(const config::Config& config, const loader::Registry& registry,
                                 const std::string& name) {
  return with_line(config, registry.select(name),
                   [&] { return registry.load(name, config::plugin_json(config, name), loader::ProbeOptions()); });
}

void check_plugins(const config::Config& config, const std::function<void(const std::string&)>& warn) {
  const loader::Registry registry = loader::Registry::scan(config.plugin_dirs, loader::Identity::current());
  check_tables(config, registry, warn);
  const auto check = [&](const loader::PluginFile& file) {
    with_line(config, file, [&] { loader::probe(file.path, config::plugin_json(config, file.name), {}); });
  };
  check(select_plugin(config, registry, "backend"));
  if (!config.previous.empty()) check(select_plugin(config, registry, "previous"));
  for (const loader::PluginFile& file : registry.files()) {
    const auto table = config.plugins.find(file.name);
    if (file.state != loader::PluginState::kUsable || file.name == config.backend || file.name == config.previous ||
        table == config.plugins.end() || table->second == "{}")
      continue;
    try {
      check(file);
    } catch (const Error& e) {
      if (e.code() == Code::kInvalidArgument) throw;
      warn(e.what());
    }
  }
}

}  // namespace ipcs::daemon
