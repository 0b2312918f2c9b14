// The files in a layer.
#pragma once

#include <functional>

#include "oci/blobs.hpp"

namespace ipcs::image {

// Tells `file` the digest (sha256) and size of the content of each regular file in a layer, in the layer's order: a tar, plain
// or compressed with gzip or zstd, whatever the descriptor's type says. Directories, links, devices and whiteouts have no
// content; of a sparse file the holes count. Throws Error kInvalidArgument that names the blob when it is no such tar or ends
// within one, kDataLoss when it is badly compressed, and as the source.
void list_layer_files(oci::BlobSource& source, const oci::Descriptor& layer,
                      const std::function<void(const oci::Digest&, uint64_t size)>& file, const oci::Call& call);

}  // namespace ipcs::image
