// Making an image that ipcsd has one of containerd's.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "containerd/client.hpp"
#include "image/source.hpp"
#include "image/store.hpp"
#include "oci/image.hpp"

namespace ipcs::image {

struct Registration {
  std::string name;  // in containerd
  std::map<std::string, std::string> image_labels;
  std::map<std::string, std::string> content_labels;  // of every blob
  std::optional<oci::Descriptor> root_blob;  // held as long as the image is: the descriptor that ipfs://CID leads to
};

// Has containerd record every blob under a lease, with the labels that its garbage collection goes by, and names the
// image. Bytes move only where its namespaces do not share content. Afterwards the store's pins are not needed any
// more. Throws Error kFailedPrecondition when ipcsd is not where this containerd keeps its content, and the digests are
// p2p.
void register_image(ctrd::Client& client, Store& store, const oci::Image& image, const Registration& registration,
                    const Report& report, const oci::Call& call);

}  // namespace ipcs::image
