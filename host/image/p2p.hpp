// Digests of roots: which CID they are, and which images are named by them.
#pragma once

#include <optional>
#include <string>

#include "oci/image.hpp"

namespace ipcs::image {

// The CID of the dag-pb block whose SHA-256 the digest is, in base 16. Throws Error kInvalidArgument for other
// algorithms.
std::string root_cid(const oci::Digest& digest);

// Whether an image's descriptors are p2p digests: its root's bytes have another hash than its digest says.
bool is_p2p(const oci::Image& image);

// The CID in the first url "ipfs://CID" of a descriptor.
std::optional<std::string> ipfs_url(const oci::Descriptor& descriptor);

}  // namespace ipcs::image
