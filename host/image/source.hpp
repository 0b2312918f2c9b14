// An image that can be read, wherever it is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "containerd/client.hpp"
#include "image/place.hpp"
#include "image/store.hpp"
#include "oci/blobs.hpp"
#include "oci/image.hpp"
#include "oci/registry.hpp"

namespace ipcs::image {

// How far a blob is: bytes of it that are done and where they come from: "registry", "peer" (IPFS), or "local", which is this
// machine. Called on any thread, for one blob by one at a time.
using Report = std::function<void(const oci::Descriptor& blob, uint64_t done, const std::string& origin)>;

// Makes a connection to containerd when one is needed.
using Containerd = std::function<ctrd::Client&()>;

// An image at a place.
struct Source {
  std::unique_ptr<oci::Registry> registry;  // of `blobs`, for a registry
  std::unique_ptr<oci::BlobSource> blobs;
  oci::Descriptor root;
};

// Finds the image of a place that is a registry, a containerd or a layout; of a containerd's image, what `store` has is
// read there. Throws Error kNotFound, kInvalidArgument for other places, and as these do.
Source open_source(const Place& place, Store& store, const Containerd& containerd, const oci::RegistryOptions& registry,
                   const oci::Call& call);

// Brings an image's blobs into the store, those that are there already apart, and returns what was chosen of it.
// Foreign layers are left out.
oci::Image bring(Source& source, Store& store, const oci::PlatformChoice& platforms, const Report& report,
                 const oci::Call& call);

// Writes an image that the store has to a registry or a layout. Where `from`, the place that it was brought from, is another
// repository of the same registry, the registry is asked to take the blobs from there. Throws Error kInvalidArgument for other
// places.
void send(Store& store, const oci::Descriptor& root, const Place& from, const Place& place,
          const oci::RegistryOptions& registry, const Report& report, const oci::Call& call);

}  // namespace ipcs::image
