// From the leaves up, so that what refers comes after what it refers to.
#include "image/registration.hpp"

#include <set>

#include "containerd/content.hpp"
#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kParallel = 4;
constexpr auto kLeaseTime = std::chrono::hours(24);  // should we be killed
// Not one of containerd's, but under the name by which it follows references.
constexpr const char* kRootBlobLabel = "containerd.io/gc.ref.content.ipcs.root";

class Recording {
 public:
  Recording(ctrd::Client& client, Store& store, const Report& report, const oci::Call& call)
      : lease_(client, kLeaseTime, call),
        content_(client, lease_.id(), ctrd::Content::Checks::kSize),
        store_(store),
        report_(report) {}

  void record(const oci::Descriptor& blob, const ctrd::Labels& labels, const oci::Call& call) {
    try {
      content_.put(blob, store_, labels, call);
    } catch (const Error& e) {
      if (e.code() != Code::kFailedPrecondition) throw;
      throw Error(e.code(), std::string(e.what()) + " (does this containerd keep its content in ipcsd?)");
    }
    if (report_) report_(blob, blob.size(), "local");
  }

 private:
  const ctrd::Lease lease_;
  ctrd::Content content_;
  Store& store_;
  const Report& report_;
};

}  // namespace

void register_image(ctrd::Client& client, Store& store, const oci::Image& image, const Registration& registration,
                    const Report& report, const oci::Call& call) {
  Recording recording(client, store, report, call);
  std::set<std::string> recorded;
  std::vector<const oci::ImageNode*> leaves;
  for (const oci::ImageNode& node : image.nodes) {
    if (oci::is_foreign_layer(node.descriptor.media_type())) continue;
    recorded.insert(node.descriptor.digest().to_string());
    if (!node.manifest) leaves.push_back(&node);
  }
  oci::run_parallel(leaves.size(), kParallel, call, [&](size_t i, const oci::Call& inner) {
    recording.record(leaves[i]->descriptor, registration.content_labels, inner);
  });
  if (registration.root_blob) recording.record(*registration.root_blob, {}, call);
  for (const oci::ImageNode& node : image.nodes) {
    if (!node.manifest) continue;
    ctrd::Labels labels = ctrd::gc_labels(*node.manifest);
    std::erase_if(labels, [&](const auto& label) { return !recorded.contains(label.second); });
    labels.insert(registration.content_labels.begin(), registration.content_labels.end());
    if (registration.root_blob && &node == &image.root()) {
      labels[kRootBlobLabel] = registration.root_blob->digest().to_string();
    }
    recording.record(node.descriptor, labels, call);
  }
  client.set_image(registration.name, image.root().descriptor, registration.image_labels, call);
}

}  // namespace ipcs::image
