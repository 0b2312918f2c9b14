// Digests and keys to paths, and nothing else to paths.
#include "layout.hpp"

#include <algorithm>

#include "ipcs/error.hpp"

namespace ipcs::local {

bool is_hex(std::string_view hex, size_t digits) noexcept {
  return hex.size() == digits &&
         std::all_of(hex.begin(), hex.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_key(std::string_view name) noexcept {
  return !name.empty() && name.size() <= IPCS_KEY_MAX && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
  });
}

DigestParts split_digest(std::string_view digest) {
  const size_t colon = digest.find(':');
  for (const Algorithm& algorithm : kAlgorithms) {
    if (colon != std::string_view::npos && digest.substr(0, colon) == algorithm.name &&
        is_hex(digest.substr(colon + 1), algorithm.digits))
      return {digest.substr(0, colon), digest.substr(colon + 1)};
  }
  throw Error(Code::kInvalidArgument, "\"" + std::string(digest) + "\" is no digest");
}

std::string blob_directory(std::string_view algorithm) {
  return std::string(kBlobs) + "/" + std::string(algorithm);
}

std::string blob_path(const DigestParts& digest) {
  return blob_directory(digest.algorithm) + "/" + std::string(digest.hex);
}

std::string ingest_path(std::string_view key) {
  if (!is_key(key)) throw Error(Code::kInvalidArgument, "\"" + std::string(key) + "\" is no key of an ingest");
  return std::string(kIngests) + "/" + std::string(key);
}

}  // namespace ipcs::local
