// What `image convert --chunker tar` says of the layers that it made.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/image_work.hpp"
#include "image/recut.hpp"
#include "image/rewrite.hpp"

namespace ipcs::cli {

// What a node has to fetch that has an older version of the image.
struct Update {
  std::string since;
  uint64_t blocks = 0, bytes = 0;
};

struct LayerReport {
  std::vector<image::RecutLayer> layers;
  std::vector<uint64_t> blocks;  // of each layer's DAG
  std::optional<Update> update;
};

// What is wrong with a name for --chunker; empty: nothing.
std::string wrong_chunker(const std::string& name);

// The chunker "tar" of plugins/ipld.
std::unique_ptr<image::Cutter> make_tar_cutter();

// Adds what is known once the image has been rewritten.
void complete(LayerReport& report, ImageWork& work, const image::Stored& stored, const std::optional<image::Place>& since,
              const PlatformFlags& platforms);

Json to_json(const LayerReport& report);
void print(Session& session, const LayerReport& report);

}  // namespace ipcs::cli
