// `ipcsctl image compare`: what images have in common.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>

#include "cli/image_work.hpp"
#include "cli/text.hpp"
#include "image/compare.hpp"
#include "ipcs/error.hpp"
#include "ipcs/extensions.h"

namespace ipcs::cli {
namespace {

struct CompareArgs {
  std::shared_ptr<ImageFlags> flags;
  std::vector<std::string> images;
  std::vector<std::string> by;
  std::string plot;
  PlatformFlags platforms;
};

Json to_json(const image::Bucket& bucket, const std::vector<std::string>& images) {
  Json names = Json::array();
  for (size_t i = 0; i < images.size(); ++i) {
    if (bucket.images >> i & 1) names.push_back(images[i]);
  }
  return {{"images", std::move(names)}, {"count", bucket.count}, {"bytes", bucket.bytes}};
}

Json to_json(const image::Comparison& comparison) {
  Json result{{"images", comparison.images}};
  for (const image::Granularity& granularity : comparison.granularities) {
    Json buckets = Json::array(), totals = Json::array();
    for (const image::Bucket& bucket : granularity.buckets) buckets.push_back(to_json(bucket, comparison.images));
    for (const image::Bucket& total : granularity.totals)
      totals.push_back({{"count", total.count}, {"bytes", total.bytes}});
    result[granularity.name] = {{"totals", std::move(totals)}, {"buckets", std::move(buckets)}};
  }
  return result;
}

Table to_table(const image::Comparison& comparison) {
  Table table({{"WHAT"},
               {"COUNT", Table::Align::kRight},
               {"BYTES", Table::Align::kRight},
               {"SIZE", Table::Align::kRight},
               {"IN"}});
  for (const image::Granularity& granularity : comparison.granularities) {
    const auto row = [&](const std::string& what, const image::Bucket& bucket, const std::string& in) {
      table.add({what, std::to_string(bucket.count), std::to_string(bucket.bytes), size_text(bucket.bytes), in});
    };
    for (const image::Bucket& bucket : granularity.buckets)
      row(granularity.name, bucket, image::bucket_text(bucket, comparison.images));
    for (size_t i = 0; i < comparison.images.size(); ++i)
      row(granularity.name, granularity.totals[i], "all of " + comparison.images[i]);
  }
  return table;
}

const std::map<std::string, image::By> kGranularities = {
    {"blocks", image::By::kBlocks}, {"blobs", image::By::kBlobs}, {"files", image::By::kFiles}};

// Each once, in the order in which they were said.
std::vector<image::By> granularities(const std::vector<std::string>& names) {
  if (names.empty()) return {image::By::kBlocks, image::By::kBlobs};
  std::vector<image::By> by;
  for (const std::string& name : names) {
    const image::By what = kGranularities.at(name);
    if (std::find(by.begin(), by.end(), what) == by.end()) by.push_back(what);
  }
  return by;
}

int compare(Session& session, const CompareArgs& args) {
  return run_image(session, [&] {
    std::vector<image::Place> places;
    std::string what = "compare";
    for (const std::string& text : args.images) {
      places.push_back(image::Place::parse(text));
      what += " " + text;
    }
    ImageWork work(session, *args.flags, what);
    const std::vector<image::By> by = granularities(args.by);
    if (std::find(by.begin(), by.end(), image::By::kBlocks) != by.end()) work.store().need({IPCS_BLOCKS_V1}, work.call());
    std::vector<image::Compared> images;
    for (const image::Place& place : places) {
      images.push_back({place.to_string(), work.bring(place, args.platforms, oci::PlatformChoice::current())});
    }
    const image::Comparison comparison = image::compare(work.store(), images, by, work.step("compare"), work.call());
    work.quiet();
    if (!args.plot.empty()) {
      std::ofstream file(args.plot, std::ios::binary);
      file << image::plot(comparison);
      if (!file.flush()) throw Error(Code::kInvalidArgument, args.plot + ": " + std::strerror(errno));
    }
    if (session.json()) {
      session.output.json(to_json(comparison));
    } else {
      session.output.table(to_table(comparison));
    }
    return kOk;
  });
}

}  // namespace

void add_image_compare(CLI::App& image, Choice& choice, const std::shared_ptr<ImageFlags>& flags) {
  auto args = std::make_shared<CompareArgs>();
  args->flags = flags;
  CLI::App* verb = add_verb(image, choice, "compare", "count the blocks, blobs or files that images share and those that they do not",
                            compare, args);
  verb->add_option("IMAGE", args->images, "a registry's reference, containerd:NAME or oci:DIR[:TAG]")
      ->type_name("")
      ->required()
      ->check(is_text());
  verb->add_option("--by", args->by, "what is counted; files: the contents in all layers, which are read [blocks,blobs]")
      ->type_name("blocks|blobs|files")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"blocks", "blobs", "files"}).description(""));
  verb->add_option("--plot", args->plot, "draw a picture, too (SVG)")->type_name("FILE");
  add_platform_flags(*verb, args->platforms);
}

}  // namespace ipcs::cli
