// Proxies from the environment.
#include "oci/proxy.hpp"

#include <Poco/Net/IPAddress.h>

#include <cstdlib>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

std::optional<Url> proxy_of(const std::function<std::string(const std::string&)>& variable, const char* upper,
                            const char* lower) {
  const char* name = upper;
  std::string text = trimmed(variable(upper));
  if (text.empty()) text = trimmed(variable(name = lower));
  if (text.empty()) return std::nullopt;
  if (text.find("://") == std::string::npos) text = "http://" + text;
  try {
    Url url = Url::parse(text);
    if (url.secure()) throw Error(Code::kInvalidArgument, "a proxy is spoken to by plain http");
    return url;
  } catch (const Error& error) {
    throw Error(Code::kInvalidArgument, std::string(name) + ": " + error.what());
  }
}

bool in_network(const std::string& host, const std::string& network) {
  Poco::Net::IPAddress address, base;
  const size_t slash = network.find('/');
  if (!Poco::Net::IPAddress::tryParse(host, address)) return false;
  if (!Poco::Net::IPAddress::tryParse(network.substr(0, slash), base) || base.family() != address.family())
    return false;
  const auto width = static_cast<unsigned>(base.length() * 8);
  unsigned prefix = width;
  if (slash != std::string::npos) {
    const std::string digits = network.substr(slash + 1);
    if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
      return false;
    prefix = static_cast<unsigned>(std::stoul(digits));
    if (prefix > width) return false;
  }
  const auto* a = static_cast<const unsigned char*>(address.addr());
  const auto* b = static_cast<const unsigned char*>(base.addr());
  for (unsigned bit = 0; bit < prefix; ++bit) {
    if (((a[bit / 8] ^ b[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

}  // namespace

Proxies::Proxies(const std::function<std::string(const std::string&)>& variable)
    : http_(proxy_of(variable, "HTTP_PROXY", "http_proxy")), https_(proxy_of(variable, "HTTPS_PROXY", "https_proxy")) {
  std::string list = variable("NO_PROXY");
  if (list.empty()) list = variable("no_proxy");
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    if (std::string entry = lower_case(trimmed(std::string_view(list).substr(at, comma - at))); !entry.empty()) {
      excluded_.push_back(std::move(entry));
    }
    at = comma + 1;
  }
}

Proxies Proxies::from_environment() {
  return Proxies([](const std::string& name) -> std::string {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? "" : value;
  });
}

std::optional<Url> Proxies::for_url(const Url& url) const {
  const std::optional<Url>& proxy = url.secure() ? https_ : http_;
  if (!proxy || excluded(url)) return std::nullopt;
  return proxy;
}

bool Proxies::excluded(const Url& url) const {
  if (is_loopback(url.host)) return true;
  for (std::string entry : excluded_) {
    if (entry == "*") return true;
    // One colon before digits is a port; several are an IPv6 address.
    if (const size_t colon = entry.rfind(':'); colon != std::string::npos && entry.find(':') == colon) {
      if (entry.substr(colon + 1) != std::to_string(url.port)) continue;
      entry.resize(colon);
    }
    if (in_network(url.host, entry)) return true;
    if (entry.starts_with("*.")) entry.erase(0, 1);
    if (url.host == entry) return true;
    const std::string below = entry.starts_with('.') ? entry : "." + entry;
    if (url.host.size() > below.size() && url.host.ends_with(below)) return true;
  }
  return false;
}

}  // namespace ipcs::oci
