// Counting sets.
#include "image/compare.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <unordered_map>

#include "image/layer_files.hpp"
#include "ipcs/error.hpp"
#include "ipcs/extensions.h"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kParallel = 2;  // layers at once: inflating and hashing keeps a core busy each

// Things with a name and a size, and which images have them.
class Tally {
 public:
  void add(const std::string& name, uint64_t size, uint64_t images) {
    Thing& thing = things_.try_emplace(name, Thing{0, size}).first->second;
    thing.images |= images;
  }

  Granularity result(std::string name, size_t images) const {
    Granularity result{std::move(name), {}, std::vector<Bucket>(images)};
    std::map<uint64_t, Bucket> buckets;
    for (size_t i = 0; i < images; ++i) result.totals[i].images = uint64_t{1} << i;
    for (const auto& [name_of_it, thing] : things_) {
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

  std::unordered_map<std::string, Thing> things_;
};

// A blob that images have, looked at once however many they are.
struct Known {
  oci::Descriptor descriptor;
  uint64_t images = 0;  // as in Bucket
  bool layer = false;
};

void count_files(Store& store, const std::vector<Known>& blobs, Tally& files, const Report& report, const oci::Call& call) {
  std::vector<const Known*> layers;
  for (const Known& blob : blobs) {
    if (blob.layer) layers.push_back(&blob);
  }
  std::mutex mutex;
  oci::run_parallel(layers.size(), kParallel, call, [&](size_t i, const oci::Call& inner) {
    const Known& layer = *layers[i];
    std::vector<std::pair<std::string, uint64_t>> found;
    list_layer_files(
        store, layer.descriptor,
        [&](const oci::Digest& digest, uint64_t size) { found.emplace_back(digest.to_string(), size); }, inner);
    if (report) report(layer.descriptor, layer.descriptor.size(), "local");
    const std::lock_guard lock(mutex);
    for (const auto& [digest, size] : found) files.add(digest, size, layer.images);
  });
}

}  // namespace

Comparison compare(Store& store, const std::vector<Compared>& images, const std::vector<By>& by, const Report& report,
                   const oci::Call& call) {
  if (images.size() > kMaxCompared) {
    throw Error(Code::kInvalidArgument, "at most " + std::to_string(kMaxCompared) + " images are compared at once");
  }
  const auto wanted = [&](By what) { return std::find(by.begin(), by.end(), what) != by.end(); };
  std::vector<Known> known;
  std::unordered_map<oci::Digest, size_t> index;
  Comparison comparison;
  for (size_t i = 0; i < images.size(); ++i) {
    comparison.images.push_back(images[i].name);
    for (const oci::ImageNode& node : images[i].image.nodes) {
      if (oci::is_foreign_layer(node.descriptor.media_type())) continue;
      const auto [found, fresh] = index.try_emplace(node.descriptor.digest(), known.size());
      if (fresh) known.push_back({node.descriptor, 0, !node.manifest && oci::is_layer(node.descriptor.media_type())});
      known[found->second].images |= uint64_t{1} << i;
    }
  }
  Tally blocks, blobs, files;
  const bool by_blocks = wanted(By::kBlocks);
  const bool by_roots = !by_blocks && wanted(By::kBlobs) && store.offers(IPCS_LOCATE_V1, call);
  for (const Known& blob : known) {
    const oci::Digest& digest = blob.descriptor.digest();
    std::string root;  // the same bytes may go by two digests
    if (by_roots) root = store.cid_of(digest, call);
    if (by_blocks) {
      store.list_blocks(
          digest,
          [&](const Block& block) {
            if (root.empty()) root = block.cid;
            blocks.add(block.cid, block.size, blob.images);
          },
          call);
    }
    blobs.add(root.empty() ? digest.to_string() : root, blob.descriptor.size(), blob.images);
  }
  if (wanted(By::kFiles)) count_files(store, known, files, report, call);
  for (const By what : by) {
    comparison.granularities.push_back(what == By::kBlocks  ? blocks.result("blocks", images.size())
                                       : what == By::kBlobs ? blobs.result("blobs", images.size())
                                                            : files.result("files", images.size()));
  }
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
