// From TOML to JSON for plugins.
#include "config/plugin_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/config.hpp"
#include "config/table.hpp"
#include "config/toml_text.hpp"
#include "config/values.hpp"
#include "ipcs/error.hpp"

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

// One `key=value`, as a table. What is no TOML value is a string: quota=10GiB needs no quotes within a shell's quotes.
toml::table parse_setting(const std::string& setting) {
  const std::string subject = fmt::format("setting {}", in_quotes(setting));
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw Error(Code::kInvalidArgument, subject + " wants the form key=value");
  const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
  if (setting.find_first_of("\r\n") == std::string::npos) {
    try {
      return parse_toml(key + " = " + value, subject);
    } catch (const Error&) {
      // A bare word, most likely; otherwise the key is wrong, which shows below.
    }
  }
  try {
    return parse_toml(key + " = " + toml_string(value), subject);
  } catch (const Error&) {
    throw Error(Code::kInvalidArgument, subject + " wants a TOML key before the \"=\"");
  }
}

// Lays `upper` over `lower`: tables are merged, anything else is replaced.
void merge(toml::table& lower, const toml::table& upper) {
  for (const auto& [key, value] : upper) {
    toml::table* below = lower[key].as_table();
    if (below != nullptr && value.is_table()) {
      merge(*below, *value.as_table());
    } else {
      lower.insert_or_assign(key, value);
    }
  }
}

// The key of the table, also of one within it, that `message` names: the longest, or none.
struct Named {
  std::string key;
  size_t line = 0;
};

bool is_key_letter(char c) {
  return c == '-' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool mentions(const std::string& message, const std::string& word) {
  for (size_t at = message.find(word); at != std::string::npos; at = message.find(word, at + 1)) {
    const size_t end = at + word.size();
    if ((at == 0 || !is_key_letter(message[at - 1])) && (end == message.size() || !is_key_letter(message[end])))
      return true;
  }
  return false;
}

void find_named(const toml::table& table, const std::string& message, Named& best) {
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    if (name.size() > best.key.size() && mentions(message, name)) best = {name, key.source().begin.line};
    if (const toml::table* inner = value.as_table()) find_named(*inner, message, best);
  }
}

}  // namespace

std::string plugin_json(std::string_view text, const std::string& file_name, const std::vector<std::string>& settings) {
  toml::table table = parse_toml(text, file_name);
  Problems problems(file_name);
  for (const std::string& setting : settings) merge(table, parse_setting(setting));
  const std::string json = to_json(table, "the table", problems).dump();
  problems.throw_if_any();
  return json;
}

std::string plugin_problem(std::string_view text, const std::string& file_name, const std::string& plugin,
                           const std::string& message) {
  const toml::table file = parse_toml(text, file_name);
  const toml::table* plugins = file["plugins"].as_table();
  const auto found = plugins == nullptr ? toml::table::const_iterator() : plugins->find(plugin);
  if (plugins == nullptr || found == plugins->end() || !found->second.is_table()) return message;
  Named named{"", found->first.source().begin.line};
  find_named(*found->second.as_table(), message, named);
  return fmt::format("{}:{}: {}", file_name, named.line, message);
}

std::string key_problem(std::string_view text, const std::string& file_name, std::string_view key, std::string_view value,
                        const std::string& message) {
  const toml::table file = parse_toml(text, file_name);
  const auto found = file.find(key);
  if (found == file.end() || found->second.value<std::string_view>() != value) return message;
  return fmt::format("{}:{}: {}", file_name, found->first.source().begin.line, message);
}

std::string plugin_table_json(const toml::table& table, const std::string& name, Problems& problems) {
  return to_json(table, name, problems).dump();
}

std::string plugin_json(const Config& config, const std::string& name) {
  const auto found = config.plugins.find(name);
  json object = found == config.plugins.end() ? json::object() : json::parse(found->second);
  if (name == "local" && !object.contains("path"))
    object["path"] = (std::filesystem::path(config.root) / "local").string();
  if (name == "ipfs-http" && !object.contains("state"))
    object["state"] = (std::filesystem::path(config.root) / "ipfs-http").string();
  return object.dump();
}

}  // namespace ipcs::config
