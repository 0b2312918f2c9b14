// URLs of registries: split, never re-encoded, since a signed one dies of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ipcs::oci {

struct Url {
  std::string scheme;     // "http" or "https"
  std::string host;       // in lower case, an IPv6 address without brackets
  uint16_t port = 0;      // never 0 after parsing
  std::string user_info;  // as written, "" when there is none
  std::string target;     // path and query as written, at least "/"

  // Throws Error kInvalidArgument for anything but an absolute http or https URL of printable ASCII.
  static Url parse(std::string_view text);
  // `location` as a header gives it, absolute or relative to this URL. Throws as parse().
  Url resolve(std::string_view location) const;

  bool secure() const noexcept { return scheme == "https"; }
  bool same_origin(const Url& other) const noexcept {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
  // "host", "[::1]:5000": the port when it is not the scheme's own.
  std::string authority() const;
  std::string to_string() const { return scheme + "://" + authority() + target; }  // without user info
  // The same without the query, which may hold a signature: for messages.
  std::string shown() const;
};

// Whether a host is this machine by its name: localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);

// `text` with everything but unreserved characters percent-encoded, for a query's value.
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

}  // namespace ipcs::oci
