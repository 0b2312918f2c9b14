// A plugin's configuration put before the plugin: what it does not accept is told with file and line.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "plugin/registry.hpp"

namespace ipcs::daemon {

// Looks for tables of plugins that are not there: a name that is nearly another's throws Error kInvalidArgument, as it is a
// slip that would leave settings without effect; of others `warn` is told, since a plugin may be installed later.
void check_tables(const config::Config& config, const loader::Registry& registry,
                  const std::function<void(const std::string&)>& warn);

// The file of the plugin that the configuration names under `key`, "backend" or "previous". Throws Error as
// Registry::select() does; a name that the configuration file has and no plugin begins with `file:line: `.
const loader::PluginFile& select_plugin(const config::Config& config, const loader::Registry& registry,
                                        std::string_view key);

// Probes and loads the plugin `name` with its configuration. Throws Error as Registry::load() does; kInvalidArgument
// begins with `file:line: ` where the plugin's table is in the file.
loader::LoadedPlugin load_plugin(const config::Config& config, const loader::Registry& registry,
                                 const std::string& name);

// check_tables(), then has the plugins that the configuration selects check their tables, each in a process of its own,
// and so those others that have a table: a start would leave them alone, but a file is checked before it is needed.
// `warn` is told of one of these that can't be probed at all. Opens and changes nothing. Throws Error as load_plugin() does.
void check_plugins(const config::Config& config, const std::function<void(const std::string&)>& warn);

}  // namespace ipcs::daemon
