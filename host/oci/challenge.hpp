// What a registry asks for with a 401: the WWW-Authenticate header.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::oci {

struct Challenge {
  std::string scheme;                             // in lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case: "realm", "service", "scope"

  std::string parameter(const std::string& name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() ? "" : found->second;
  }
};

// The challenges of one header (RFC 9110, 11.6.1), in their order. What can't be read ends the reading: the challenges
// before it count. At most 16 challenges of 32 parameters. Never throws but for memory.
std::vector<Challenge> parse_challenges(std::string_view header);

}  // namespace ipcs::oci
