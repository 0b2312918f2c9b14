// Checks the configuration key by key.
#include "config.hpp"

#include <Poco/Base64Encoder.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "ipcs/error.hpp"
#include "ipcs/plugin_config.hpp"
#include "kubo/address.hpp"
#include "kubo/tls.hpp"

namespace ipcs::ipfs_http {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 8> kKeys = {"state", "api", "auth", "ca", "prefix", "timeout", "cache", "full_at"};

[[noreturn]] void reject(const std::string& message) { throw Error(Code::kInvalidArgument, message); }

// The text of a key that is there.
std::string read_text(const Json& config, const std::string& key) {
  const Json& value = config[key];
  if (!value.is_string()) reject("key \"" + key + "\": a text is needed, not " + value.dump());
  const auto& text = value.get_ref<const std::string&>();
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; }))
    reject("key \"" + key + "\": has a control character");
  return text;
}

// A number with one of these units, or a bare number in the first of them.
uint64_t read_quantity(const Json& config, const std::string& key,
                       const std::vector<std::pair<std::string_view, uint64_t>>& units, const char* example) {
  const Json& value = config[key];
  constexpr uint64_t kMost = uint64_t{1} << 40;  // times the largest unit it fits
  if (value.is_number_unsigned() && value.get<uint64_t>() < kMost) return value.get<uint64_t>() * units.front().second;
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    for (const auto& [name, factor] : units) {
      if (error == std::errc() && unit == name && number < kMost) return number * factor;
    }
  }
  reject("key \"" + key + "\": write for example " + example + ", not " + value.dump());
}

std::string read_prefix(const Json& config) {
  const std::string prefix = read_text(config, "prefix");
  const bool sound = prefix.size() >= 2 && prefix.size() <= 200 && prefix.starts_with('/') && !prefix.ends_with('/') &&
                     prefix.find("//") == std::string::npos && (prefix + "/").find("/./") == std::string::npos &&
                     (prefix + "/").find("/../") == std::string::npos;
  if (!sound) reject("key \"prefix\": a path in MFS such as \"/ipcs\" is needed, not \"" + prefix + "\"");
  return prefix;
}

std::string read_authorities(const Json& config, const std::string& api) {
  const std::string file = read_text(config, "ca");
  if (file.empty()) return file;
  if (!api.empty() && !kubo::parse_address(api).tls)
    reject("key \"ca\": the key \"api\" says \"" + api + "\", which is not https");
  try {
    kubo::check_authorities(file);
  } catch (const Error& e) {
    reject(std::string("key \"ca\": ") + e.what());
  }
  return file;
}

}  // namespace

std::string authorization(const std::string& auth) {
  const size_t space = auth.find(' ');
  if (auth.empty()) return "";
  const std::string kind = auth.substr(0, space), secret = space == std::string::npos ? "" : auth.substr(space + 1);
  if (kind == "bearer" && !secret.empty()) return "Bearer " + secret;
  if (kind == "basic" && secret.find(':') != std::string::npos) {
    std::ostringstream encoded;
    Poco::Base64Encoder encoder(encoded);
    encoder.rdbuf()->setLineLength(0);
    encoder << secret;
    encoder.close();
    return "Basic " + encoded.str();
  }
  reject("key \"auth\": write \"bearer TOKEN\" or \"basic USER:PASSWORD\"");
}

Config parse_config(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, false);
  if (!parsed.is_object()) reject("the configuration of the ipfs-http backend is no JSON object");
  for (const auto& [key, value] : parsed.items()) plugin::check_key(key, kKeys);
  Config config;
  if (!parsed.contains("state")) reject("key \"state\" is missing: the directory of the index");
  config.state = read_text(parsed, "state");
  if (config.state.empty()) reject("key \"state\": a directory is needed");
  if (parsed.contains("api")) {
    config.api = read_text(parsed, "api");
    if (!config.api.empty()) {
      try {
        kubo::parse_address(config.api);
      } catch (const Error& e) {
        reject(std::string("key \"api\": ") + e.what());
      }
    }
  }
  if (parsed.contains("auth")) config.auth = read_text(parsed, "auth");
  authorization(config.auth);
  if (parsed.contains("ca")) config.ca = read_authorities(parsed, config.api);
  if (parsed.contains("prefix")) config.prefix = read_prefix(parsed);
  if (parsed.contains("timeout")) {
    config.timeout = std::chrono::milliseconds(
        read_quantity(parsed, "timeout", {{"s", 1000}, {"ms", 1}, {"m", 60'000}}, "\"60s\""));
    if (config.timeout.count() == 0 || config.timeout > std::chrono::hours(24))
      reject("key \"timeout\": a time from 1ms to a day is needed");
  }
  if (parsed.contains("cache"))
    config.cache = read_quantity(parsed, "cache", {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}, "\"64MiB\"");
  if (const auto full_at = parsed.find("full_at"); full_at != parsed.end()) {
    if (!full_at->is_number() || full_at->get<double>() < 0 || full_at->get<double>() > 1)
      reject("key \"full_at\": a number from 0 to 1 is needed, not " + full_at->dump());
    config.full_at = full_at->get<double>();
  }
  return config;
}

}  // namespace ipcs::ipfs_http
