// Walking an image, and moving it with several blobs at once.
#include "oci/image.hpp"

#include <algorithm>
#include <unordered_map>

#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::oci {
namespace {

constexpr int kMaxLevels = 8;
constexpr size_t kMaxBlobs = 10'000;
constexpr uint64_t kMaxManifestsTotal = 256 << 20;

// The best child for one platform: lowest rank, among equals the first; without any the first that names no platform.
std::optional<size_t> best_for(const Platform& platform, const std::vector<Child>& children) {
  std::optional<size_t> best;
  size_t best_rank = 0;
  for (size_t i = 0; i < children.size(); ++i) {
    const auto& own = children[i].descriptor.platform();
    const auto fits = own ? rank(platform, *own) : std::nullopt;
    if (fits && (!best || *fits < best_rank)) {
      best = i;
      best_rank = *fits;
    }
  }
  if (best) return best;
  const auto plain =
      std::find_if(children.begin(), children.end(), [](const Child& c) { return !c.descriptor.platform(); });
  if (plain == children.end()) return std::nullopt;
  return static_cast<size_t>(plain - children.begin());
}

std::vector<size_t> chosen(const Manifest& index, const PlatformChoice& platforms, const std::string& name) {
  std::vector<size_t> indexes;
  if (platforms.all || !index.is_index()) {
    for (size_t i = 0; i < index.children().size(); ++i) indexes.push_back(i);
    return indexes;
  }
  for (const Platform& platform : platforms.wanted) {
    const auto best = best_for(platform, index.children());
    if (!best) throw Error(Code::kNotFound, name + ": nothing for " + platform.to_string());
    if (std::find(indexes.begin(), indexes.end(), *best) == indexes.end()) indexes.push_back(*best);
  }
  std::sort(indexes.begin(), indexes.end());
  return indexes;
}

class Walk {
 public:
  Walk(BlobSource& source, const PlatformChoice& platforms, const Call& call)
      : source_(source), platforms_(platforms), call_(call) {}

  size_t visit(const Descriptor& blob, Role role, int level) {
    if (const auto seen = seen_.find(blob.digest()); seen != seen_.end()) return same(seen->second, blob, role);
    const std::string name = source_.name() + ": " + blob.digest().to_string();
    ImageNode node{blob, role, std::nullopt, {}};
    if (role == Role::kManifest && (is_index(blob.media_type()) || is_manifest(blob.media_type()))) {
      if (level >= kMaxLevels) throw Error(Code::kInvalidArgument, name + ": indexes in indexes, more than 8 levels");
      if ((total_ += blob.size()) > kMaxManifestsTotal) {
        throw Error(Code::kResourceExhausted, name + ": the image has more than 256 MiB of manifests");
      }
      node.manifest = Manifest::parse(read_whole(source_, blob, kMaxManifest, call_), blob.media_type(), name);
      for (const size_t i : chosen(*node.manifest, platforms_, name)) {
        const Child& child = node.manifest->children()[i];
        node.children.push_back(visit(child.descriptor, child.role, level + 1));
      }
    } else if (level == 0) {
      throw Error(Code::kInvalidArgument,
                  name + ": of type " + blob.media_type() + ", which is neither an index nor a manifest");
    }
    if (image_.nodes.size() >= kMaxBlobs)
      throw Error(Code::kResourceExhausted, name + ": the image has more than 10,000 blobs");
    image_.nodes.push_back(std::move(node));
    seen_.emplace(blob.digest(), image_.nodes.size() - 1);
    return image_.nodes.size() - 1;
  }

  Image take() { return std::move(image_); }

 private:
  // Two descriptors of one digest have to agree, or one of them is read as something that was not looked at.
  size_t same(size_t index, const Descriptor& blob, Role role) const {
    const ImageNode& node = image_.nodes[index];
    const bool kinds_agree = (node.role == Role::kManifest) == (role == Role::kManifest);
    if (node.descriptor.size() != blob.size() || !kinds_agree) {
      throw Error(Code::kInvalidArgument,
                  source_.name() + ": " + blob.digest().to_string() + ": referred to in two ways");
    }
    return index;
  }

  BlobSource& source_;
  const PlatformChoice& platforms_;
  const Call& call_;
  Image image_;
  std::unordered_map<Digest, size_t> seen_;
  uint64_t total_ = 0;
};

// A source that tells how far each blob is, and passes its bytes on.
class Watched : public BlobSource {
 public:
  Watched(BlobSource& source, const CopyOptions& options) : source_(source), options_(options) {}

  void read(const Descriptor& blob, uint64_t from, const Sink& sink, const Call& call) override {
    const std::string origin = name();
    uint64_t bytes = from;
    source_.read(
        blob, from,
        [&](std::span<const uint8_t> piece) {
          sink(piece);
          bytes += piece.size();
          if (options_.progress) options_.progress(blob, bytes, origin);
        },
        call);
  }
  std::string name() const override { return source_.name(); }

 private:
  BlobSource& source_;
  const CopyOptions& options_;
};

// Manifests that the walk has read are not read again.
class Known : public BlobSource {
 public:
  Known(BlobSource& source, const std::string& bytes) : source_(source), bytes_(bytes) {}

  void read(const Descriptor&, uint64_t from, const Sink& sink, const Call&) override {
    const std::string_view rest = std::string_view(bytes_).substr(from);
    sink({reinterpret_cast<const uint8_t*>(rest.data()), rest.size()});
  }
  std::string name() const override { return source_.name(); }

 private:
  BlobSource& source_;
  const std::string& bytes_;
};

}  // namespace

Image walk(BlobSource& source, const Descriptor& root, const PlatformChoice& platforms, const Call& call) {
  Walk walk(source, platforms, call);
  walk.visit(root, Role::kManifest, 0);
  return walk.take();
}

Image copy(BlobSource& source, const Descriptor& root, BlobTarget& target, const std::string& tag,
           const CopyOptions& options, const Call& call) {
  Image image = walk(source, root, options.platforms, call);
  Watched watched(source, options);
  const auto put = [&](const ImageNode& node, BlobSource& from, const Call& inner) {
    if (target.has(node.descriptor, inner)) {
      if (options.progress) options.progress(node.descriptor, node.descriptor.size(), "");
    } else {
      target.put(node.descriptor, from, inner);
    }
  };

  std::vector<const ImageNode*> leaves;
  for (const ImageNode& node : image.nodes) {
    const bool skip = options.skip_foreign && is_foreign_layer(node.descriptor.media_type());
    if (!node.manifest && !skip) leaves.push_back(&node);
  }
  // The largest first: they decide how long it takes.
  std::stable_sort(leaves.begin(), leaves.end(),
                   [](const ImageNode* a, const ImageNode* b) { return a->descriptor.size() > b->descriptor.size(); });
  run_parallel(leaves.size(), options.parallel, call,
               [&](size_t i, const Call& inner) { put(*leaves[i], watched, inner); });
  for (const ImageNode& node : image.nodes) {
    if (!node.manifest) continue;
    Known known(source, node.manifest->bytes());
    Watched seen(known, options);
    put(node, seen, call);
  }
  target.tag(image.root().descriptor, image.root().manifest->bytes(), tag, call);
  return image;
}

}  // namespace ipcs::oci
