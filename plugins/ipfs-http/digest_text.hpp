// Digests as the host writes them, and what they are in IPFS.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ipld/cid.hpp"

namespace ipcs::ipfs_http {

// "<algorithm>:<hex>" in its parts, views into the text. Throws Error kInvalidArgument.
struct DigestParts {
  std::string_view algorithm, hex;
};
DigestParts split_digest(std::string_view digest);

// The root that a p2p digest names: CIDv0 of its sha256. Nothing for another algorithm.
std::optional<ipld::Cid> root_of(std::string_view digest);
// The p2p digest of a root; nothing when its hash is no sha2-256.
std::optional<std::string> p2p_digest(const ipld::Cid& root);

// Hashes bytes to "<algorithm>:<hex>".
class Hasher {
 public:
  // Of the algorithm of `digest`. Throws Error kInvalidArgument for an unknown one.
  explicit Hasher(std::string_view digest);
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  ~Hasher();
  void update(ipld::BytesView bytes);
  std::string digest();

 private:
  const std::string algorithm_;
  void* context_;
};

}  // namespace ipcs::ipfs_http
