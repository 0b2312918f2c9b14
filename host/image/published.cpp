// A source whose blobs become known to the store as they are asked for.
#include "image/published.hpp"

#include "image/p2p.hpp"
#include "image/passes.hpp"
#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kParallel = 4;
constexpr uint64_t kMaxDescriptor = 64 << 10;

class Peers : public oci::BlobSource {
 public:
  explicit Peers(Store& store) : store_(store) {}

  Adopted fetch(const oci::Descriptor& blob, const Progress& progress, const oci::Call& call) {
    try {
      const auto cid = ipfs_url(blob);
      return store_.adopt_cid(cid ? *cid : root_cid(blob.digest()), blob.digest(), blob.size(), progress, call);
    } catch (const Error& e) {
      throw Error(e.code(), "blob " + blob.digest().to_string() + ": " + e.what());
    }
  }

  void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override {
    fetch(blob, {}, call);
    store_.read(blob, from, sink, call);
  }
  std::string name() const override { return "ipfs"; }

 private:
  Store& store_;
};

}  // namespace

Published fetch_published(Store& store, const std::string& cid, const oci::PlatformChoice& platforms,
                          const Report& report, const oci::Call& call) {
  const Adopted blob = store.adopt_cid(cid, std::nullopt, 0, {}, call);
  const std::string name = "ipfs://" + cid;
  if (blob.size > kMaxDescriptor) {
    throw Error(Code::kInvalidArgument,
                name + ": no descriptor of an image: it has " + std::to_string(blob.size) + " bytes");
  }
  const oci::Descriptor as_blob("application/json", blob.digest, blob.size);
  const auto root = oci::Descriptor::parse(oci::read_whole(store, as_blob, kMaxDescriptor, call), name);

  Peers peers(store);
  Published result{{oci::walk(peers, root, platforms, call), {}}, {blob, root}};
  const auto& nodes = result.stored.image.nodes;
  for (const oci::ImageNode& node : nodes)
    result.stored.blobs.push_back({node.descriptor.digest(), {}, node.descriptor.size()});
  oci::run_parallel(nodes.size(), kParallel, call, [&](size_t i, const oci::Call& inner) {
    const oci::Descriptor& descriptor = nodes[i].descriptor;
    if (oci::is_foreign_layer(descriptor.media_type())) return;
    // Manifests have come already, and from where is past finding out.
    const bool here = !nodes[i].manifest && store.has(descriptor, inner);
    Passes passes(report, descriptor, here ? "local" : "peer", 1);
    result.stored.blobs[i] = peers.fetch(descriptor, passes.next(), inner);
    passes.finish();
  });
  return result;
}

}  // namespace ipcs::image
