// Reading docker's config.json.
#include "oci/credentials.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ipcs/error.hpp"
#include "oci/json_text.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using nlohmann::json;

// Keys have been written as "host", "https://host", "https://host/v1/"; docker.io under its old name.
std::string key_of(std::string_view name) {
  if (const size_t scheme = name.find("://"); scheme != std::string_view::npos) name.remove_prefix(scheme + 3);
  const std::string host = lower_case(name.substr(0, name.find('/')));
  return host == "docker.io" || host == "registry-1.docker.io" ? "index.docker.io" : host;
}

std::string text_of(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) throw Error(Code::kInvalidArgument, where + ": \"" + key + "\" is not a string");
  return found->get<std::string>();
}

Credentials credentials_of(const json& entry, const std::string& where) {
  if (!entry.is_object()) throw Error(Code::kInvalidArgument, where + ": not an object");
  Credentials credentials{text_of(entry, "username", where), text_of(entry, "password", where),
                          text_of(entry, "identitytoken", where), text_of(entry, "registrytoken", where)};
  const std::string auth = text_of(entry, "auth", where);
  if (auth.empty()) return credentials;
  std::string pair;
  try {
    pair = base64_decode(auth);
  } catch (const Error&) {
    throw Error(Code::kInvalidArgument, where + ": \"auth\" is not base64");
  }
  const size_t colon = pair.find(':');
  if (colon == std::string::npos) throw Error(Code::kInvalidArgument, where + ": \"auth\" has no ':'");
  credentials.username = pair.substr(0, colon);
  credentials.password = pair.substr(colon + 1);
  while (credentials.password.ends_with('\0')) credentials.password.pop_back();  // docker pads
  return credentials;
}

const json* object_of(const json& root, const char* key, std::string_view name) {
  const auto found = root.find(key);
  if (found == root.end() || found->is_null()) return nullptr;
  if (!found->is_object())
    throw Error(Code::kInvalidArgument, std::string(name) + ": \"" + key + "\" is not an object");
  return &*found;
}

}  // namespace

std::string server_name(const std::string& host) {
  return key_of(host) == "index.docker.io" ? "https://index.docker.io/v1/" : host;
}

DockerConfig DockerConfig::parse(std::string text, std::string_view name) {
  const JsonText document = JsonText::parse(std::move(text), name);
  const json& root = document.value();
  if (!root.is_object()) throw Error(Code::kInvalidArgument, std::string(name) + ": not an object");
  DockerConfig config;
  if (const json* auths = object_of(root, "auths", name)) {
    for (const auto& [host, entry] : auths->items()) {
      const std::string where = std::string(name) + ": auths: " + one_line(host, 80);
      Credentials credentials = credentials_of(entry, where);
      // An exact name wins over another form of it, whichever comes first.
      const bool exact = key_of(host) == host;
      if (exact || !config.auths_.contains(key_of(host))) config.auths_[key_of(host)] = std::move(credentials);
    }
  }
  if (const json* programs = object_of(root, "credHelpers", name)) {
    for (const auto& [host, program] : programs->items()) {
      if (!program.is_string()) throw Error(Code::kInvalidArgument, std::string(name) + ": credHelpers: not a string");
      config.programs_[key_of(host)] = program.get<std::string>();
    }
  }
  config.general_program_ = text_of(root, "credsStore", std::string(name));
  return config;
}

DockerConfig DockerConfig::load() {
  const char* directory = std::getenv("DOCKER_CONFIG");
  const char* home = std::getenv("HOME");
  std::string path;
  if (directory != nullptr && *directory != '\0') {
    path = std::string(directory) + "/config.json";
  } else if (home != nullptr && *home != '\0') {
    path = std::string(home) + "/.docker/config.json";
  } else {
    return {};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    throw Error(Code::kFailedPrecondition, path + ": can't be read");
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse(text.str(), path);
}

Credentials DockerConfig::stored(const std::string& host) const {
  const auto found = auths_.find(key_of(host));
  return found == auths_.end() ? Credentials{} : found->second;
}

std::string DockerConfig::program(const std::string& host) const {
  const auto found = programs_.find(key_of(host));
  return found == programs_.end() ? general_program_ : found->second;
}

Credentials find_credentials(const DockerConfig& config, const std::string& host, const Call& call) {
  const std::string program = config.program(host);
  Credentials credentials = program.empty() ? Credentials{} : ask_credential_program(program, host, call);
  return credentials.empty() ? config.stored(host) : credentials;
}

}  // namespace ipcs::oci
