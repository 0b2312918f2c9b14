// Multiaddrs, as far as they can name an HTTP server, and URLs.
#include "kubo/address.hpp"

#include <Poco/Exception.h>
#include <Poco/URI.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::kubo {
namespace {

[[noreturn]] void reject(std::string_view text, const std::string& why) {
  throw Error(Code::kInvalidArgument, "\"" + std::string(text) + "\" is no address of Kubo's RPC API: " + why);
}

uint16_t parse_port(std::string_view text, std::string_view digits) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
    reject(text, "\"" + std::string(digits) + "\" is no port");
  return port;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    text.remove_prefix(1);
    const size_t end = std::min(text.find('/'), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

Address from_multiaddr(std::string_view text) {
  Address address;
  address.shown = text;
  constexpr std::string_view kUnix = "/unix/";
  if (text.starts_with(kUnix)) {
    address.kind = Address::Kind::kUnix;
    address.path = "/" + std::string(text.substr(kUnix.size()));
    if (address.path.size() < 2 || address.path.size() > 107) reject(text, "the socket's path has 1 to 107 bytes");
    return address;
  }
  const std::vector<std::string> parts = split(text);
  const bool named = !parts.empty() && (parts[0] == "ip4" || parts[0] == "ip6" || parts[0] == "dns" ||
                                        parts[0] == "dns4" || parts[0] == "dns6");
  if (!named || parts.size() < 4 || parts[1].empty() || parts[2] != "tcp")
    reject(text, "write for example /ip4/127.0.0.1/tcp/5001, /unix/run/ipfs.sock or http://host:5001");
  address.host = parts[1];
  address.port = parse_port(text, parts[3]);
  for (size_t i = 4; i < parts.size(); ++i) {
    if (parts[i] == "https" || parts[i] == "tls") {
      address.tls = true;
    } else if (parts[i] != "http") {
      reject(text, "\"/" + parts[i] + "\" is not understood");
    }
  }
  return address;
}

Address from_url(std::string_view text) {
  Address address;
  try {
    const Poco::URI uri{std::string(text)};
    if (uri.getScheme() != "http" && uri.getScheme() != "https") reject(text, "its scheme is neither http nor https");
    if (!uri.getUserInfo().empty()) reject("http://…@" + uri.getHost(), "user and password belong into the key \"auth\"");
    if (uri.getHost().empty()) reject(text, "it names no host");
    if (!uri.getRawQuery().empty() || !uri.getFragment().empty()) reject(text, "it has a query or a fragment");
    address.tls = uri.getScheme() == "https";
    address.host = uri.getHost();
    address.port = uri.getPort();
    address.prefix = uri.getPath();
    const auto drop_slashes = [&] { while (address.prefix.ends_with('/')) address.prefix.pop_back(); };
    drop_slashes();
    constexpr std::string_view kApi = "/api/v0";
    if (address.prefix.ends_with(kApi)) address.prefix.resize(address.prefix.size() - kApi.size());
    drop_slashes();
  } catch (const Poco::Exception& e) {
    reject(text, e.displayText());
  }
  address.shown = text;
  return address;
}

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line.size() <= 1000 ? line : std::string();
}

}  // namespace

std::string Address::host_header() const {
  if (kind == Kind::kUnix) return "localhost";
  const bool six = host.find(':') != std::string::npos;
  return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Address parse_address(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 127) reject("…", "it has a space or a control character");
  }
  return text.starts_with('/') ? from_multiaddr(text) : from_url(text);
}

std::string default_address() {
  std::filesystem::path repository;
  if (const char* path = std::getenv("IPFS_PATH"); path != nullptr && *path != 0) {
    repository = path;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home != 0) {
    repository = std::filesystem::path(home) / ".ipfs";
  }
  if (!repository.empty()) {
    if (const std::string line = first_line(repository / "api"); !line.empty()) return line;
  }
  return "/ip4/127.0.0.1/tcp/5001";
}

}  // namespace ipcs::kubo
