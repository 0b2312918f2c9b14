// The walk upwards through an image.
#include "image/rewrite.hpp"

#include <algorithm>

#include "image/p2p.hpp"
#include "image/passes.hpp"
#include "ipcs/error.hpp"
#include "oci/json_text.hpp"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kParallel = 4;                           // blobs at once
constexpr const char* kNerdctlProfile = "cid-version-1";  // what `ipfs add --cid-version=1` makes

// OCI's name for a type of Docker's; "" where it stays.
std::string_view oci_type(std::string_view type) {
  if (type == oci::kDockerIndex) return oci::kOciIndex;
  if (type == oci::kDockerManifest) return oci::kOciManifest;
  if (type == oci::kDockerConfig) return oci::kOciConfig;
  if (type == oci::kDockerLayer) return oci::kOciLayer;
  if (type == oci::kDockerLayerGzip) return oci::kOciLayerGzip;
  if (type == oci::kDockerLayerZstd) return oci::kOciLayerZstd;
  return {};
}

bool is_tar_layer(const oci::ImageNode& node) {
  return node.role == oci::Role::kLayer && oci::compression_of(node.descriptor.media_type()) != oci::Compression::kUnknown;
}

// The index with those of its manifests alone that `keep` says.
std::string reduced(const std::string& bytes, const std::vector<bool>& keep) {
  if (std::all_of(keep.begin(), keep.end(), [](bool k) { return k; })) return bytes;
  const auto document = oci::JsonText::parse(bytes, "index");
  const oci::JsonSpan* manifests = document.root().find("manifests");
  std::string list;
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i]) list += (list.empty() ? "" : ",") + std::string(document.at(manifests->elements.at(i)));
  }
  oci::JsonEdit edit(document);
  edit.replace(*manifests, "[" + list + "]");
  return edit.apply();
}

class Rewriting {
 public:
  Rewriting(Store& store, const oci::Image& image, const RewriteOptions& options)
      : store_(store),
        image_(image),
        options_(options),
        p2p_(options.digests == Digests::kP2p),
        kept_(options.digests == Digests::kKept),
        to_oci_(options.digests == Digests::kOci || !options.replaced.empty()),
        back_(!p2p_ && options.replaced.empty() && is_p2p(image)) {
    for (const oci::ImageNode& node : image.nodes) {
      result_.blobs.push_back({node.descriptor.digest(), {}, node.descriptor.size()});
      own_.push_back(node.descriptor.digest());
    }
  }

  Stored run(const oci::Call& call) {
    result_.image = image_;
    std::vector<size_t> leaves;
    for (size_t i = 0; i < image_.nodes.size(); ++i) {
      const oci::ImageNode& node = image_.nodes[i];
      if (!node.manifest && !oci::is_foreign_layer(node.descriptor.media_type())) leaves.push_back(i);
    }
    oci::run_parallel(leaves.size(), kParallel, call, [&](size_t i, const oci::Call& inner) {
      const oci::Descriptor& leaf = image_.nodes[leaves[i]].descriptor;
      Passes passes(options_.report, leaf, "local", passes_through(leaves[i]) + (back_ ? 2 : 0));
      adopt(leaves[i], back_ ? digest_of_bytes(leaf, passes, inner) : leaf.digest(), passes, inner);
    });
    for (const size_t i : leaves) {
      result_.image.nodes[i].descriptor = changed(image_.nodes[i].descriptor, i);
    }
    for (size_t i = 0; i < image_.nodes.size(); ++i) {
      if (image_.nodes[i].manifest) rewrite_manifest(i, call);
    }
    return std::move(result_);
  }

 private:
  // Has the store know a blob with a p2p digest under that of its bytes, too. Two passes.
  oci::Digest digest_of_bytes(const oci::Descriptor& blob, Passes& passes, const oci::Call& call) {
    oci::Hasher hasher(oci::Algorithm::kSha256);
    const Progress hashed = passes.next();
    uint64_t done = 0;
    const auto hash = [&](std::span<const uint8_t> bytes) {
      hasher.update(bytes);
      hashed(done += bytes.size());
    };
    store_.read(blob, 0, hash, call);
    const oci::Digest digest = hasher.digest();
    // Some blobs of one block have one digest for both.
    if (digest != blob.digest()) store_.adopt_cid(root_cid(blob.digest()), digest, blob.size(), passes.next(), call);
    return digest;
  }

  // A layer that recut() made.
  bool by_itself(size_t i) const { return !options_.layer_chunker.empty() && is_tar_layer(image_.nodes[i]); }

  // Empty: as the profile says.
  const std::string& chunker_of(size_t i) const { return by_itself(i) ? options_.layer_chunker : options_.chunker; }

  // How often adopt() has the store read a blob.
  unsigned passes_through(size_t i) const { return kept_ ? 0 : !chunker_of(i).empty() && !p2p_ ? 2 : 1; }

  void adopt(size_t i, const oci::Digest& digest, Passes& passes, const oci::Call& call) {
    own_[i] = digest;
    result_.blobs[i].digest = digest;
    if (!kept_) {
      const std::string& chunker = chunker_of(i);
      result_.blobs[i] = store_.adopt_blob(digest, chunker, p2p_ ? "default" : kNerdctlProfile, passes.next(), call);
      // Under its own digest, too, the blob is to be made of these blocks.
      if (!chunker.empty() && !p2p_ && result_.blobs[i].digest != digest)
        store_.adopt_cid(result_.blobs[i].cid, digest, result_.blobs[i].size, passes.next(), call);
    }
    passes.finish();
  }

  // What a parent is to say of a blob, of which it says `descriptor` now.
  oci::Descriptor changed(const oci::Descriptor& descriptor, size_t node) const {
    const Adopted& blob = result_.blobs[node];
    if (p2p_) return descriptor.with_content(blob.digest, blob.size);
    if (const auto found = options_.replaced.find(node); found != options_.replaced.end()) {
      oci::Descriptor made = descriptor.with_content(found->second.digest(), found->second.size())
                                 .with_media_type(found->second.media_type());
      for (const auto& [key, value] : found->second.annotations()) made = made.with_annotation(key, value);
      return made;
    }
    const oci::Descriptor content = back_ ? descriptor.with_content(own_[node], blob.size) : descriptor;
    const oci::Descriptor located = kept_ ? content : content.with_urls({"ipfs://" + blob.cid});
    const std::string_view type = to_oci_ ? oci_type(descriptor.media_type()) : std::string_view();
    return type.empty() ? located : located.with_media_type(type);
  }

  void rewrite_manifest(size_t i, const oci::Call& call) {
    const oci::ImageNode& node = image_.nodes[i];
    const oci::Manifest& manifest = *node.manifest;
    std::vector<std::optional<oci::Descriptor>> children(manifest.children().size());
    std::vector<bool> keep(children.size(), false);
    for (size_t k = 0; k < children.size(); ++k) {
      const oci::Descriptor& child = manifest.children()[k].descriptor;
      const auto found = std::find_if(node.children.begin(), node.children.end(),
                                      [&](size_t n) { return image_.nodes[n].descriptor.digest() == child.digest(); });
      if (found == node.children.end()) continue;
      keep[k] = true;
      if (oci::is_foreign_layer(child.media_type())) continue;
      children[k] =
          image_.nodes[*found].manifest ? rewritten_child(child, *found) : changed(child, *found);
    }
    const std::string_view type = to_oci_ ? oci_type(manifest.media_type()) : std::string_view();
    std::string bytes = manifest.rewritten(children, type);
    if (manifest.is_index()) bytes = reduced(bytes, keep);
    if (kept_ && !back_ && bytes == manifest.bytes()) return;
    const oci::Digest digest = store_.put(bytes, call);
    Passes passes(options_.report, node.descriptor, "local", passes_through(i));
    adopt(i, digest, passes, call);
    oci::ImageNode& made = result_.image.nodes[i];
    made.manifest = oci::Manifest::parse(bytes, type.empty() ? manifest.media_type() : type, "the rewritten manifest");
    oci::Descriptor content = node.descriptor.with_content(digest, bytes.size());
    result_.blobs[i].size = bytes.size();
    made.descriptor = changed(content, i);
  }

  // A manifest's place in its index: type, size and digest of the new one, everything else as it was.
  oci::Descriptor rewritten_child(const oci::Descriptor& child, size_t node) const {
    const oci::Descriptor& made = result_.image.nodes[node].descriptor;
    return changed(child.with_content(made.digest(), made.size()), node);
  }

  Store& store_;
  const oci::Image& image_;
  const RewriteOptions& options_;
  const bool p2p_, kept_, to_oci_;
  const bool back_;  // from p2p digests to those of the bytes
  std::vector<oci::Digest> own_;  // of the nodes' bytes, in their order; known once adopt() was called
  Stored result_;
};

}  // namespace

uint64_t Stored::blocks() const {
  uint64_t sum = 0;
  for (const Adopted& blob : blobs) sum += blob.blocks;
  return sum;
}

uint64_t Stored::block_bytes() const {
  uint64_t sum = 0;
  for (const Adopted& blob : blobs) sum += blob.block_bytes;
  return sum;
}

Stored rewrite(Store& store, const oci::Image& image, const RewriteOptions& options, const oci::Call& call) {
  return Rewriting(store, image, options).run(call);
}

RootBlob publish_root(Store& store, const Stored& stored, const oci::Call& call) {
  const oci::ImageNode& root = stored.image.root();
  oci::Descriptor descriptor(root.descriptor.media_type(), root.descriptor.digest(), root.descriptor.size());
  if (!root.descriptor.urls().empty()) descriptor = descriptor.with_urls(root.descriptor.urls());
  const oci::Digest digest = store.put(descriptor.text(), call);
  return {store.adopt_blob(digest, "", kNerdctlProfile, {}, call), descriptor};
}

}  // namespace ipcs::image
