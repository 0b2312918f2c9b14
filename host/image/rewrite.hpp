// New descriptors for an image's blobs: p2p digests, or urls that say where in IPFS they are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/source.hpp"
#include "image/store.hpp"
#include "oci/image.hpp"

namespace ipcs::image {

enum class Digests {
  kP2p,   // every digest becomes that of the blob's root; sizes stay
  kKept,  // nothing changes, but that of an index only the chosen part remains, and what is replaced
  kOci,   // layers and configs keep their digests; every descriptor gets "urls": ["ipfs://CID"], as nerdctl's push does
          // it
};

struct RewriteOptions {
  Digests digests = Digests::kP2p;
  std::string chunker;  // of the DAGs that p2p digests or urls name; empty: 256 KiB
  Report report;
  std::string layer_chunker = {};  // of layers that recut() made; empty: they are as all others
  // By node: the layers that take the places of others, in the store already. Docker's media types become OCI's then.
  // For kKept alone.
  std::map<size_t, oci::Descriptor> replaced = {};
};

// An image as the store has it: every node of `image` but foreign layers, pinned by the run.
struct Stored {
  oci::Image image;
  std::vector<Adopted> blobs;  // of the nodes, in their order; of a foreign layer only the digest says something
  uint64_t blocks() const;
  uint64_t block_bytes() const;
};

// Rewrites from the leaves up an image that the store has. Manifests change in the digests, types and urls of their
// children only; of an index that part was chosen of, the others are left out. With kOci, Docker's media types become
// OCI's. An image with p2p digests gets those of its bytes with kOci and kKept: all blobs are read and hashed, and become
// known to the store under them; with kKept that is the image that it was made from, byte for byte. Throws as Store does.
Stored rewrite(Store& store, const oci::Image& image, const RewriteOptions& options, const oci::Call& call);

// The root's descriptor as a blob of its own: what `ipfs://CID` leads to.
struct RootBlob {
  Adopted blob;
  oci::Descriptor descriptor;
};
RootBlob publish_root(Store& store, const Stored& stored, const oci::Call& call);

}  // namespace ipcs::image
