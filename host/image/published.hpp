// An image that somebody has published as ipfs://CID.
#pragma once

#include <string>

#include "image/rewrite.hpp"
#include "image/source.hpp"
#include "image/store.hpp"

namespace ipcs::image {

struct Published {
  Stored stored;
  RootBlob root;
};

// Makes the blobs of an image known to the store: the descriptor that `cid` leads to, then from there down. Of blobs
// with p2p digests only the roots are fetched; those with an ipfs:// url are fetched whole, since their digests are of
// their bytes. Throws Error kInvalidArgument when the CID leads to no descriptor or a blob has neither, and as
// Store::adopt_cid().
Published fetch_published(Store& store, const std::string& cid, const oci::PlatformChoice& platforms,
                          const Report& report, const oci::Call& call);

}  // namespace ipcs::image
