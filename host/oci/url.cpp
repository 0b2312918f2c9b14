// Splitting and resolving of URLs.
#include "oci/url.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

[[noreturn]] void fail(std::string_view text, const char* what) {
  throw Error(Code::kInvalidArgument,
              "\"" + one_line(text.substr(0, text.find('?'))) + "\" is not a usable URL: " + what);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Url Url::parse(std::string_view text) {
  Url url;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) fail(text, "no scheme");
  url.scheme = lower_case(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") fail(text, "neither http nor https");
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 127; }))
    fail(text, "a byte that no URL has");

  std::string_view rest = text.substr(colon + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  rest = rest.substr(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = (rest.starts_with('/') ? "" : "/") + std::string(rest);

  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.user_info = authority.substr(0, at);
    authority = authority.substr(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) fail(text, "a bracket is not closed");
    url.host = lower_case(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const size_t at = std::min(authority.find(':'), authority.size());
    url.host = lower_case(authority.substr(0, at));
    port = authority.substr(at);
  }
  if (url.host.empty()) fail(text, "no host");
  if (url.host.size() > 255) fail(text, "the host is too long");
  url.port = url.secure() ? 443 : 80;
  if (port.empty() || port == ":") return url;
  port.remove_prefix(1);
  const bool number = port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit);
  const unsigned long value = number ? std::stoul(std::string(port)) : 0;
  if (value == 0 || value > 65535) fail(text, "the port is none");
  url.port = static_cast<uint16_t>(value);
  return url;
}

Url Url::resolve(std::string_view location) const {
  if (location.starts_with("//")) return parse(scheme + ":" + std::string(location));
  const size_t colon = location.find(':');
  if (colon != std::string_view::npos && location.find_first_of("/?#") > colon) return parse(location);
  const std::string path = target.substr(0, target.find('?'));
  const std::string origin = scheme + "://" + authority();
  if (location.starts_with('/')) return parse(origin + std::string(location));
  if (location.starts_with('?')) return parse(origin + path + std::string(location));
  return parse(origin + path.substr(0, path.rfind('/') + 1) + std::string(location));
}

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (secure() ? 443 : 80)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::shown() const {
  return one_line(scheme + "://" + authority() + target.substr(0, target.find('?')), 300);
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

std::string percent_decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      decoded += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace ipcs::oci
