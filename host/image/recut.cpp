// Layer for layer through a file, then the manifests.
#include "image/recut.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <map>

#include "image/framing.hpp"
#include "image/rewrite.hpp"
#include "image/unpack.hpp"
#include "ipcs/error.hpp"
#include "oci/media_type.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kParallel = 4;  // layers at once
constexpr size_t kPiece = 256 << 10;

bool is_ours(const oci::ImageNode& node) {
  const std::string& type = node.descriptor.media_type();
  return node.role == oci::Role::kLayer && oci::is_layer(type) && !oci::is_foreign_layer(type) &&
         oci::compression_of(type) != oci::Compression::kUnknown;
}

// What layers are without compression, as the configs say: by node.
std::map<size_t, oci::Digest> diff_ids(Store& store, const oci::Image& image, const oci::Call& call) {
  std::map<size_t, oci::Digest> ids;
  for (const oci::ImageNode& node : image.nodes) {
    if (!node.manifest || node.manifest->is_index() || node.children.empty()) continue;
    const oci::Descriptor& config = image.nodes[node.children.front()].descriptor;
    if (!oci::is_image_config(config.media_type())) continue;
    const auto read = oci::ImageConfig::parse(oci::read_whole(store, config, oci::kMaxConfig, call),
                                              "config " + config.digest().to_string());
    for (size_t i = 0; i < read.diff_ids.size() && i + 1 < node.children.size(); ++i)
      ids.emplace(node.children[i + 1], read.diff_ids[i]);
  }
  return ids;
}

RecutLayer recut_layer(Store& store, const oci::Descriptor& layer, const std::optional<oci::Digest>& diff_id,
                       const RecutOptions& options, const oci::Call& call) {
  Spool spool;
  std::optional<Framing> framing;
  if (!options.uncompressed) framing.emplace(options.cutter(), spool);
  oci::Hasher tar(diff_id ? diff_id->algorithm() : oci::Algorithm::kSha256);
  uint64_t size = 0;
  LayerTar bytes(store, layer, call, [&](uint64_t read) {
    if (options.report) options.report(layer, read, "local");
  });
  for (auto piece = bytes.next(kPiece); !piece.empty(); piece = bytes.next(kPiece)) {
    call.check();
    tar.update(piece);
    size += piece.size();
    if (framing) {
      framing->append(piece);
    } else {
      spool.write(piece);
    }
  }
  if (framing) framing->finish();
  if (diff_id && tar.digest() != *diff_id) {
    throw Error(Code::kDataLoss, fmt::format("its tar is {}, which the config calls {}", tar.digest().to_string(),
                                             diff_id->to_string()));
  }
  oci::Descriptor after = layer.with_content(spool.digest(), spool.size())
                              .with_media_type(framing ? oci::kOciLayerZstd : oci::kOciLayer);
  if (framing) after = after.with_annotation(kFramesAnnotation, frames_recipe());
  if (!store.has(after, call)) store.put(after, spool, call);
  return {layer, std::move(after), size, framing ? framing->frames() : 0};
}

}  // namespace

std::string frames_recipe() { return fmt::format("{}, level {}", ZSTD_versionString(), kZstdLevel); }

Recut recut(Store& store, const oci::Image& image, const RecutOptions& options, const oci::Call& call) {
  const auto ids = diff_ids(store, image, call);
  std::vector<size_t> layers;
  for (size_t i = 0; i < image.nodes.size(); ++i) {
    if (is_ours(image.nodes[i])) layers.push_back(i);
  }
  std::vector<std::optional<RecutLayer>> done(layers.size());
  oci::run_parallel(layers.size(), kParallel, call, [&](size_t i, const oci::Call& inner) {
    const oci::Descriptor& layer = image.nodes[layers[i]].descriptor;
    const auto id = ids.find(layers[i]);
    try {
      done[i] = recut_layer(store, layer, id == ids.end() ? std::nullopt : std::optional(id->second), options, inner);
    } catch (const Error& e) {
      throw Error(e.code(), "layer " + layer.digest().to_string() + ": " + e.what());
    }
  });
  Recut result;
  RewriteOptions rewriting{Digests::kKept, {}, {}, {}, {}};
  for (size_t i = 0; i < layers.size(); ++i) {
    rewriting.replaced.emplace(layers[i], done[i]->after);
    result.layers.push_back(std::move(*done[i]));
  }
  result.image = rewrite(store, image, rewriting, call).image;
  return result;
}

}  // namespace ipcs::image
