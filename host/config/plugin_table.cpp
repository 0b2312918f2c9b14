// From TOML to JSON for plugins.
#include "config/plugin_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "config/table.hpp"
#include "config/values.hpp"

namespace ipcs::config {
namespace {

using nlohmann::json;

// `name` is the dotted name of the node. Recursion is bounded: find_unsafe() has looked at the text before.
json to_json(const toml::node& node, const std::string& name, Problems& problems) {
  if (const auto* table = node.as_table()) {
    json object = json::object();
    for (const auto& [key, value] : *table)
      object[std::string(key.str())] = to_json(value, name + '.' + std::string(key.str()), problems);
    return object;
  }
  if (const auto* array = node.as_array()) {
    json elements = json::array();
    for (const toml::node& element : *array) elements.push_back(to_json(element, name, problems));
    return elements;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  const auto* number = node.as_floating_point();
  if (number != nullptr && std::isfinite(number->get())) return number->get();
  problems.add(node.source().begin.line,
               fmt::format("{} is {}, which a plugin's configuration can't hold: write a string", in_quotes(name),
                           number != nullptr ? "an infinite number or none" : kind_of(node)));
  return nullptr;
}

}  // namespace

std::string plugin_table_json(const toml::table& table, const std::string& name, Problems& problems) {
  return to_json(table, name, problems).dump();
}

std::string plugin_json(const Config& config, const std::string& name) {
  const auto found = config.plugins.find(name);
  json object = found == config.plugins.end() ? json::object() : json::parse(found->second);
  if (name == "local" && !object.contains("path"))
    object["path"] = (std::filesystem::path(config.root) / "local").string();
  return object.dump();
}

}  // namespace ipcs::config
