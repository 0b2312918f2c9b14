// An image of two platforms, and the way into a daemon's store.
#pragma once

#include <string>
#include <vector>

#include "host/image/dag_store.hpp"
#include "host/oci/sample.hpp"
#include "image/store.hpp"
#include "oci/image.hpp"
#include "oci/media_type.hpp"

namespace ipcs::test {

using Images = oci::test::Memory;

// An index of two images that share a layer.
inline oci::Descriptor add_index(Images& source) {
  const auto shared = source.add(oci::kOciLayerGzip, "the layer of both");
  std::vector<std::string> manifests;
  for (const std::string machine : {"amd64", "arm64"}) {
    const auto config = source.add(oci::kOciConfig, R"({"os":"linux","architecture":")" + machine +
                                                        R"(","rootfs":{"type":"layers","diff_ids":[]}})");
    const auto own = source.add(oci::kOciLayerGzip, "the layer of " + machine);
    const auto manifest = source.add(oci::kOciManifest, oci::test::manifest_text(config, {shared, own}));
    manifests.push_back(R"({"mediaType":")" + std::string(oci::kOciManifest) + R"(","digest":")" +
                        manifest.digest().to_string() + R"(","size":)" + std::to_string(manifest.size()) +
                        R"(, "platform":{"architecture":")" + machine + R"(","os":"linux"},"x":[1, 2]})");
  }
  return source.add(oci::kOciIndex, oci::test::index_text(manifests));
}

inline oci::Image brought(Node& node, image::Store& store, Images& source,
                          const oci::PlatformChoice& platforms = oci::PlatformChoice::everything()) {
  oci::CopyOptions options;
  options.platforms = platforms;
  return oci::copy(source, add_index(source), store, "", options, node.call);
}

}  // namespace ipcs::test
