// What images have in common, by blocks and by blobs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

// Everything counted once, at its own size.
struct Granularity {
  std::string name;             // "blocks", "blobs"
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

// Asks the store for the blocks of every blob. Throws as Store::list_blocks(), kInvalidArgument for more than
// kMaxCompared.
Comparison compare(Store& store, const std::vector<Compared>& images, const oci::Call& call);

// "only A", "A and B, not C": the images of a bucket by their names.
std::string bucket_text(const Bucket& bucket, const std::vector<std::string>& images);

// A picture (SVG): a bar for each bucket over a matrix that says whose it is.
std::string plot(const Comparison& comparison, const Granularity& granularity);

}  // namespace ipcs::image
