// The little that has to be known of CIDs here.
#include "image/p2p.hpp"

#include "ipcs/error.hpp"

namespace ipcs::image {

std::string root_cid(const oci::Digest& digest) {
  if (digest.algorithm() != oci::Algorithm::kSha256) {
    throw Error(Code::kInvalidArgument, "blob " + digest.to_string() + ": only a sha256 digest can name a root");
  }
  // "f": base 16; version 1, dag-pb, sha2-256, 32 bytes.
  return "f01701220" + std::string(digest.hex());
}

bool is_p2p(const oci::Image& image) {
  const oci::Digest& digest = image.root().descriptor.digest();
  return oci::Digest::of(image.root().manifest->bytes(), digest.algorithm()) != digest;
}

std::optional<std::string> ipfs_url(const oci::Descriptor& descriptor) {
  constexpr std::string_view kScheme = "ipfs://";
  for (const std::string& url : descriptor.urls()) {
    if (url.size() > kScheme.size() && url.starts_with(kScheme)) return url.substr(kScheme.size());
  }
  return std::nullopt;
}

}  // namespace ipcs::image
