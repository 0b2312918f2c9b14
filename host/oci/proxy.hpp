// Which proxy a request goes through, by the usual environment variables.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "oci/url.hpp"

namespace ipcs::oci {

// HTTP_PROXY, HTTPS_PROXY, NO_PROXY and their lower-case forms (which come second). Immutable; any thread.
class Proxies {
 public:
  // No proxy at all.
  Proxies() = default;
  // Reads variables through `variable`, which gives "" for one that is not set. Throws Error kInvalidArgument for a
  // proxy that is no http URL ("host:port" is one), naming the variable.
  explicit Proxies(const std::function<std::string(const std::string&)>& variable);
  static Proxies from_environment();

  // The proxy for `url`. None for this machine itself and for what NO_PROXY lists: a host with all below it, ".domain"
  // for what is below it only, an address, a network as CIDR, each with ":port" if it means that port only; "*" for
  // all.
  std::optional<Url> for_url(const Url& url) const;

 private:
  bool excluded(const Url& url) const;

  std::optional<Url> http_;
  std::optional<Url> https_;
  std::vector<std::string> excluded_;
};

}  // namespace ipcs::oci
