// Who we are at a registry: docker's config.json and the programs it names.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "oci/call.hpp"

namespace ipcs::oci {

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;  // an OAuth 2 refresh token, instead of the two
  std::string registry_token;  // a bearer token, used as it is

  bool empty() const noexcept { return username.empty() && identity_token.empty() && registry_token.empty(); }
};

// Gives the credentials for a registry's host ("registry-1.docker.io", "localhost:5000"); empty ones mean: none.
using CredentialsFor = std::function<Credentials(const std::string& host, const Call& call)>;

// docker's config.json. Immutable value.
class DockerConfig {
 public:
  // Nothing is known.
  DockerConfig() = default;
  // Throws Error kInvalidArgument beginning with `name`; no message shows a secret. Unknown members are left alone.
  static DockerConfig parse(std::string text, std::string_view name);
  // $DOCKER_CONFIG/config.json, else ~/.docker/config.json. Without such a file nothing is known. Throws as parse().
  static DockerConfig load();

  // What the file itself says of a registry.
  Credentials stored(const std::string& host) const;
  // NAME of the docker-credential-NAME to ask about a registry; "" for none. One named for the host wins over the
  // general one.
  std::string program(const std::string& host) const;

 private:
  std::map<std::string, Credentials> auths_;
  std::map<std::string, std::string> programs_;
  std::string general_program_;
};

// Asks docker-credential-NAME on the PATH; empty when it knows none. It has 30 s. Throws Error kFailedPrecondition with
// its words when it fails, kInvalidArgument for a NAME with a slash, kCancelled, kDeadlineExceeded.
Credentials ask_credential_program(const std::string& name, const std::string& host, const Call& call);

// The program's answer where one is named, else what is stored.
Credentials find_credentials(const DockerConfig& config, const std::string& host, const Call& call);

// What program and file call a registry: "https://index.docker.io/v1/" for docker.io's, else the host.
std::string server_name(const std::string& host);

}  // namespace ipcs::oci
