// What images have in common, by blocks, by blobs and by files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image/source.hpp"
#include "image/store.hpp"
#include "oci/image.hpp"

namespace ipcs::image {

inline constexpr size_t kMaxCompared = 16;  // images at once: there are 2^n - 1 buckets

// What exactly these images have and the others have not.
struct Bucket {
  uint64_t images = 0;  // bit i: the i-th image
  uint64_t count = 0;
  uint64_t bytes = 0;
};

// What is counted.
enum class By {
  kBlocks,  // of all blobs, by CID
  kBlobs,   // layers, configs, manifests and indexes; by the CID of the root where the store has DAGs
  kFiles    // contents of the regular files of all layers, also of those that a later layer hides
};

// Everything counted once, at its own size.
struct Granularity {
  std::string name;             // "blocks", "blobs", "files"
  std::vector<Bucket> buckets;  // that are not empty; few images first, then by their bits
  std::vector<Bucket> totals;   // of each image, with what it shares
};

struct Comparison {
  std::vector<std::string> images;
  std::vector<Granularity> granularities;
};

struct Compared {
  std::string name;
  oci::Image image;
};

// Counts by each of `by`, in their order. For blocks it asks the store for those of every blob, which need IPCS_BLOCKS_V1; for
// blobs without blocks for the CIDs of their roots, where it offers IPCS_LOCATE_V1; for files it reads all layers, with `report`
// as progress. Throws as Store::list_blocks(), cid_of() and list_layer_files() do, kInvalidArgument for more than kMaxCompared
// images.
Comparison compare(Store& store, const std::vector<Compared>& images, const std::vector<By>& by, const Report& report,
                   const oci::Call& call);

// "only A", "A & B": the images of a bucket by their names.
std::string bucket_text(const Bucket& bucket, const std::vector<std::string>& images);

// A picture (SVG): for each granularity a bar for each bucket over a matrix that says whose it is.
std::string plot(const Comparison& comparison);

}  // namespace ipcs::image
