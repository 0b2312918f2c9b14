// Fuzzes what is written for the backend ipfs-http by people and by itself: addresses, its configuration, digests. What is
// understood means what it says; everything else is an invalid argument.
#include <cstdlib>

#include "config.hpp"
#include "digest_text.hpp"
#include "ipcs/error.hpp"
#include "kubo/address.hpp"
#include "kubo/client.hpp"

namespace {

using namespace ipcs;

void require(bool condition) {
  if (!condition) std::abort();
}

bool one_line(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return false;
  }
  return true;
}

// A message has no control character that the text did not bring along.
template <class Body>
void attempt(const std::string& text, Body body) {
  try {
    body(text);
  } catch (const Error& e) {
    require(e.code() == Code::kInvalidArgument);
    require(std::string_view(e.what()).size() < 6 * text.size() + 400);
    require(one_line(e.what()) || !one_line(text) || text.find('\\') != std::string::npos);  // keys may be escaped
  }
}

void address(const std::string& text) {
  const auto address = kubo::parse_address(text);
  require(address.shown == text);
  if (address.kind == kubo::Address::Kind::kUnix) {
    require(address.path.starts_with('/') && address.path.size() <= 107);
    return;
  }
  require(!address.host.empty() && address.port != 0);
  require(address.prefix.empty() || (address.prefix.starts_with('/') && !address.prefix.ends_with('/')));
  for (const char c : address.host_header()) require(static_cast<unsigned char>(c) > ' ' && c != 127);
}

void config(const std::string& text) {
  const auto config = ipfs_http::parse_config(text);
  require(!config.state.empty() && config.prefix.size() >= 2);
  require(config.timeout.count() > 0 && config.timeout <= std::chrono::hours(24));
  require(config.full_at >= 0 && config.full_at <= 1);
  if (!config.api.empty()) kubo::parse_address(config.api);
  require(ipfs_http::authorization(config.auth).find('\n') == std::string::npos);
}

void digest(const std::string& text) {
  const auto parts = ipfs_http::split_digest(text);
  require(std::string(parts.algorithm) + ":" + std::string(parts.hex) == text);
  if (const auto root = ipfs_http::root_of(text)) require(ipfs_http::p2p_digest(*root) == text);
  require(ipfs_http::Hasher(text).digest().size() == text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  attempt(text, address);
  attempt(text, config);
  attempt(text, digest);
  require(one_line(kubo::one_line(text)));
  require(kubo::code_of(text) != Code::kOk);
  return 0;
}
