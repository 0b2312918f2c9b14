// Counting sets.
#include "image/compare.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <unordered_map>

#include "ipcs/error.hpp"
#include "oci/media_type.hpp"

namespace ipcs::image {
namespace {

// Things with a name and a size, and which images have them.
class Tally {
 public:
  size_t add(const std::string& name, uint64_t size) {
    const auto [found, fresh] = index_.try_emplace(name, things_.size());
    if (fresh) things_.push_back({0, size});
    return found->second;
  }
  void mark(size_t thing, size_t image) { things_[thing].images |= uint64_t{1} << image; }

  Granularity result(std::string name, size_t images) const {
    Granularity result{std::move(name), {}, std::vector<Bucket>(images)};
    std::map<uint64_t, Bucket> buckets;
    for (size_t i = 0; i < images; ++i) result.totals[i].images = uint64_t{1} << i;
    for (const Thing& thing : things_) {
      if (thing.images == 0) continue;
      count(buckets[thing.images], thing);
      for (size_t i = 0; i < images; ++i) {
        if (thing.images >> i & 1) count(result.totals[i], thing);
      }
    }
    for (auto& [mask, bucket] : buckets) {
      bucket.images = mask;
      result.buckets.push_back(bucket);
    }
    std::stable_sort(result.buckets.begin(), result.buckets.end(), [](const Bucket& a, const Bucket& b) {
      return std::popcount(a.images) < std::popcount(b.images);
    });
    return result;
  }

 private:
  struct Thing {
    uint64_t images;
    uint64_t size;
  };
  static void count(Bucket& bucket, const Thing& thing) {
    ++bucket.count;
    bucket.bytes += thing.size;
  }

  std::unordered_map<std::string, size_t> index_;
  std::vector<Thing> things_;
};

}  // namespace

Comparison compare(Store& store, const std::vector<Compared>& images, const oci::Call& call) {
  if (images.size() > kMaxCompared) {
    throw Error(Code::kInvalidArgument, "at most " + std::to_string(kMaxCompared) + " images are compared at once");
  }
  struct Known {
    size_t blob = 0;
    std::vector<size_t> blocks;
  };
  Tally blobs, blocks;
  std::unordered_map<oci::Digest, Known> known;  // a blob that several images have is listed once
  Comparison comparison;
  for (size_t i = 0; i < images.size(); ++i) {
    comparison.images.push_back(images[i].name);
    for (const oci::ImageNode& node : images[i].image.nodes) {
      const oci::Descriptor& descriptor = node.descriptor;
      if (oci::is_foreign_layer(descriptor.media_type())) continue;
      const auto [found, fresh] = known.try_emplace(descriptor.digest());
      Known& blob = found->second;
      if (fresh) {
        std::string root;  // the same bytes may go by two digests
        store.list_blocks(
            descriptor.digest(),
            [&](const Block& block) {
              if (root.empty()) root = block.cid;
              blob.blocks.push_back(blocks.add(block.cid, block.size));
            },
            call);
        blob.blob = blobs.add(root.empty() ? descriptor.digest().to_string() : root, descriptor.size());
      }
      blobs.mark(blob.blob, i);
      for (const size_t block : blob.blocks) blocks.mark(block, i);
    }
  }
  comparison.granularities.push_back(blocks.result("blocks", images.size()));
  comparison.granularities.push_back(blobs.result("blobs", images.size()));
  return comparison;
}

std::string bucket_text(const Bucket& bucket, const std::vector<std::string>& images) {
  std::string text;
  for (size_t i = 0; i < images.size(); ++i) {
    if (bucket.images >> i & 1) text += (text.empty() ? "" : " & ") + images[i];
  }
  return std::popcount(bucket.images) == 1 ? "only " + text : text;
}

}  // namespace ipcs::image
