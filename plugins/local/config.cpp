// Checks the configuration key by key.
#include "config.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "ipcs/error.hpp"
#include "ipcs/plugin_config.hpp"

namespace ipcs::local {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 5> kKeys = {"path", "quota", "full_at", "fsync", "journal"};
// More would hold up a start that has to read it.
constexpr uint64_t kLeastJournal = 64 << 10, kLargestJournal = 1 << 30;

[[noreturn]] void reject(const std::string& message) {
  throw Error(Code::kInvalidArgument, message);
}

uint64_t read_size(const Json& value, const std::string& key) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (!value.is_string())
    reject("key \"" + key + "\": a number of bytes or a text such as \"10GiB\" is needed, not " + value.dump());
  return parse_size(value.get_ref<const std::string&>(), key);
}

}  // namespace

uint64_t parse_size(std::string_view text, std::string_view key) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},         {"B", 1},      {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},
      {"GB", 1e9},     {"TB", 1e12},  {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30},
      {"TiB", 0x1p40}, {"K", 0x1p10}, {"M", 0x1p20},   {"G", 0x1p30},   {"T", 0x1p40}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const auto& [name, factor] : kUnits) {
    if (error == std::errc() && unit == name && number >= 0 && number * factor < 0x1p63)
      return static_cast<uint64_t>(number * factor);
  }
  reject("key \"" + std::string(key) + "\": \"" + std::string(text) + "\" is no size; write for example \"10GiB\"");
}

Config parse_config(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) reject("the configuration of the local backend is no JSON object");
  for (const auto& [key, value] : parsed.items()) plugin::check_key(key, kKeys);
  Config config;
  const auto path = parsed.find("path");
  if (path == parsed.end()) reject("key \"path\" is missing: the directory of the store");
  if (!path->is_string() || path->get_ref<const std::string&>().empty())
    reject("key \"path\": a directory is needed, not " + path->dump());
  config.path = path->get<std::string>();
  if (config.path.find('\0') != std::string::npos) reject("key \"path\": has a zero byte");
  if (const auto quota = parsed.find("quota"); quota != parsed.end()) config.quota = read_size(*quota, "quota");
  if (const auto journal = parsed.find("journal"); journal != parsed.end()) {
    config.journal = read_size(*journal, "journal");
    if (config.journal != 0 && (config.journal < kLeastJournal || config.journal > kLargestJournal))
      reject("key \"journal\": 0 or a size from 64KiB to 1GiB is needed, not " + journal->dump());
  }
  if (const auto full_at = parsed.find("full_at"); full_at != parsed.end()) {
    if (!full_at->is_number() || full_at->get<double>() < 0 || full_at->get<double>() > 1)
      reject("key \"full_at\": a number from 0 to 1 is needed, not " + full_at->dump());
    config.full_at = full_at->get<double>();
  }
  if (const auto fsync = parsed.find("fsync"); fsync != parsed.end()) {
    if (!fsync->is_boolean()) reject("key \"fsync\": true or false is needed, not " + fsync->dump());
    config.fsync = fsync->get<bool>();
  }
  return config;
}

}  // namespace ipcs::local
