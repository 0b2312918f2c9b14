// A plugin's TOML table as the JSON object that the plugin gets.
#pragma once

#include <toml++/toml.h>
#include <string>

#include "config/problems.hpp"

namespace ipcs::config {

// The table as JSON text. `name` is its dotted name, for messages. JSON has neither dates nor infinite numbers: each is
// a problem, and left out.
std::string plugin_table_json(const toml::table& table, const std::string& name, Problems& problems);

}  // namespace ipcs::config
