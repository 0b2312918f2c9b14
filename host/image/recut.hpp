// Layers made anew, so that versions of an image share what their tars share: independent zstd frames that end where files do.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "image/source.hpp"
#include "image/store.hpp"
#include "oci/image.hpp"

namespace ipcs::image {

// Cuts one tar. Chunkers belong to the plugins; who calls recut() hands one in. max_size() and cut() are those of
// ipld::Chunker: a cut sees that many bytes, or all that are left.
class Cutter {
 public:
  virtual ~Cutter() = default;
  virtual size_t max_size() const noexcept = 0;
  virtual size_t cut(std::span<const uint8_t> bytes) = 0;
};

struct RecutOptions {
  std::function<std::unique_ptr<Cutter>()> cutter;  // of tars; may throw Error kInvalidArgument where there is none
  bool uncompressed = false;                        // the tars themselves, without frames
  Report report;
};

// One layer, before and after.
struct RecutLayer {
  oci::Descriptor before, after;
  uint64_t tar_size = 0;  // bytes, uncompressed
  uint64_t frames = 0;    // 0: there are none
};

struct Recut {
  oci::Image image;  // as rewrite() takes it, with OCI's media types
  std::vector<RecutLayer> layers;
};

// Reads every layer of an image that the store has, gzip, zstd or plain, told by its first bytes as containerd does, and puts the
// new one, then the manifests that say so. Uncompressed bytes, and so the configs, are what they were. The same tar and libzstd
// give the same bytes. Layers of types that are no tar's, and foreign ones, stay. Needs room for four layers in the directory for
// temporary files. Throws Error that names the layer: kInvalidArgument for what is no tar, kDataLoss for what is badly compressed or cut
// off and when a tar is not the one that the config says.
Recut recut(Store& store, const oci::Image& image, const RecutOptions& options, const oci::Call& call);

// How frames are made: "1.5.4, level 9", libzstd's version and the level; the annotation kFramesAnnotation of each such layer.
std::string frames_recipe();
inline constexpr const char* kFramesAnnotation = "ipcs.io/zstd";

}  // namespace ipcs::image
