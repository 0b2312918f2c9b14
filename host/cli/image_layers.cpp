// Sizes before and after, blocks, and an update's bytes.
#include "cli/image_layers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "cli/text.hpp"
#include "ipcs/error.hpp"
#include "ipld/tar_chunker.hpp"
#include "oci/media_type.hpp"

namespace ipcs::cli {
namespace {

class TarCutter final : public image::Cutter {
 public:
  size_t max_size() const noexcept override { return chunker_.max_size(); }
  size_t cut(std::span<const uint8_t> bytes) override { return chunker_.cut(bytes); }

 private:
  ipld::TarChunker chunker_;
};

const char* compression_text(const oci::Descriptor& layer) {
  switch (oci::compression_of(layer.media_type())) {
    case oci::Compression::kGzip:
      return "gzip";
    case oci::Compression::kZstd:
      return "zstd";
    default:
      return "tar";
  }
}

struct Sums {
  uint64_t before = 0, tar = 0, after = 0, blocks = 0;
};

Sums sums_of(const LayerReport& report) {
  Sums sums;
  for (const image::RecutLayer& layer : report.layers) {
    sums.before += layer.before.size();
    sums.tar += layer.tar_size;
    sums.after += layer.after.size();
  }
  for (const uint64_t blocks : report.blocks) sums.blocks += blocks;
  return sums;
}

// How all layers were compressed, "mixed" where they differ: what sizes are compared with.
std::string was_of(const LayerReport& report) {
  if (report.layers.empty()) return "";
  const std::string first = compression_text(report.layers.front().before);
  const bool same = std::all_of(report.layers.begin(), report.layers.end(),
                                [&](const image::RecutLayer& layer) { return compression_text(layer.before) == first; });
  return same ? first : "mixed";
}

double ratio(uint64_t a, uint64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

}  // namespace

std::string wrong_chunker(const std::string& name) {
  if (name == "zstd-frames") return "chunker \"zstd-frames\": is for layers that tar makes; say tar";
  try {
    ipld::make_chunker(name);
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

std::unique_ptr<image::Cutter> make_tar_cutter() { return std::make_unique<TarCutter>(); }

void complete(LayerReport& report, ImageWork& work, const image::Stored& stored, const std::optional<image::Place>& since,
              const PlatformFlags& platforms) {
  // Nodes stay where they are while an image is rewritten, so the layers come in the same order.
  size_t next = 0;
  for (size_t i = 0; i < stored.blobs.size() && next < report.layers.size(); ++i) {
    const oci::ImageNode& node = stored.image.nodes[i];
    if (node.role != oci::Role::kLayer || node.descriptor.media_type() != report.layers[next].after.media_type()) continue;
    report.blocks.push_back(stored.blobs[i].blocks);
    ++next;
  }
  if (!since) return;
  const oci::Image older = work.bring(*since, platforms, oci::PlatformChoice::everything());
  std::unordered_set<std::string> known;
  const auto each_block = [&](const oci::Image& image, const std::function<void(const image::Block&)>& sink) {
    for (const oci::ImageNode& node : image.nodes) {
      if (oci::is_foreign_layer(node.descriptor.media_type())) continue;
      work.store().list_blocks(node.descriptor.digest(), sink, work.call());
    }
  };
  each_block(older, [&](const image::Block& block) { known.insert(block.cid); });
  Update update{since->to_string(), 0, 0};
  each_block(stored.image, [&](const image::Block& block) {
    if (!known.insert(block.cid).second) return;
    ++update.blocks;
    update.bytes += block.size;
  });
  report.update = std::move(update);
}

Json to_json(const LayerReport& report) {
  Json layers = Json::array();
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const image::RecutLayer& layer = report.layers[i];
    layers.push_back({{"before", layer.before.digest().to_string()},
                      {"before_media_type", layer.before.media_type()},
                      {"before_size", layer.before.size()},
                      {"after", layer.after.digest().to_string()},
                      {"after_media_type", layer.after.media_type()},
                      {"after_size", layer.after.size()},
                      {"tar_size", layer.tar_size},
                      {"frames", layer.frames},
                      {"blocks", report.blocks.at(i)}});
  }
  const Sums sums = sums_of(report);
  Json json{{"zstd", image::frames_recipe()},
            {"before_size", sums.before},
            {"after_size", sums.after},
            {"tar_size", sums.tar},
            {"blocks", sums.blocks},
            {"ratio", ratio(sums.after, sums.before)},
            {"ratio_to", was_of(report)},
            {"layers", layers}};
  if (report.update) {
    json["update"] = {{"since", report.update->since},
                      {"blocks", report.update->blocks},
                      {"bytes", report.update->bytes},
                      {"of_before", ratio(report.update->bytes, sums.before)}};
  }
  return json;
}

void print(Session& session, const LayerReport& report) {
  Table table({{"LAYER"}, {"WAS"}, {"SIZE", Table::Align::kRight}, {"TAR", Table::Align::kRight}, {"NOW", Table::Align::kRight},
               {"RATIO", Table::Align::kRight}, {"BLOCKS", Table::Align::kRight}});
  const auto add = [&](const std::string& name, const std::string& was, uint64_t before, uint64_t tar, uint64_t after,
                       uint64_t blocks) {
    table.add({name, was, size_text(before), size_text(tar), size_text(after), fmt::format("{:.3f} of {}", ratio(after, before), was),
               std::to_string(blocks)});
  };
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const image::RecutLayer& layer = report.layers[i];
    add(layer.before.digest().to_string(), compression_text(layer.before), layer.before.size(), layer.tar_size,
        layer.after.size(), report.blocks.at(i));
  }
  const Sums sums = sums_of(report);
  if (report.layers.size() != 1) add("all", was_of(report), sums.before, sums.tar, sums.after, sums.blocks);
  session.output.table(table);
  if (!report.update) return;
  session.output.line(fmt::format("since {}: {} to fetch, {} ({:.1f} % of the size before, {})", report.update->since,
                                  counted(report.update->blocks, "block"), size_text(report.update->bytes),
                                  100 * ratio(report.update->bytes, sums.before), was_of(report)));
}

}  // namespace ipcs::cli
