// An UpSet plot: bars of the buckets' bytes, and below each bar a column of dots for its images.
#include <fmt/format.h>

#include <algorithm>

#include "image/compare.hpp"

namespace ipcs::image {
namespace {

constexpr double kLabels = 320, kColumn = 56, kBars = 240, kTop = 48, kRow = 26, kMargin = 16;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < ' ' ? '?' : c;
    }
  }
  return out;
}

std::string size_label(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1000 && unit + 1 < std::size(kUnits); ++unit) amount /= 1000;
  return fmt::format("{:.3g} {}", amount, kUnits[unit]);
}

// The end of a long name says more than its beginning.
std::string row_label(const std::string& name) {
  constexpr size_t kMost = 44;
  return escaped(name.size() <= kMost ? name : "…" + name.substr(name.size() - kMost));
}

constexpr double kMatrix = kTop + kBars + 24;  // where the dots begin

double height_of(const Comparison& comparison) {
  return kMatrix + kRow * static_cast<double>(comparison.images.size()) + kMargin;
}

double width_of(const Granularity& granularity) {
  return kLabels + kColumn * static_cast<double>(std::max<size_t>(granularity.buckets.size(), 1)) + kMargin;
}

// One granularity, with its upper left corner at 0, 0.
std::string panel(const Comparison& comparison, const Granularity& granularity) {
  const auto& images = comparison.images;
  const double matrix = kMatrix;
  uint64_t most = 1;
  for (const Bucket& bucket : granularity.buckets) most = std::max(most, bucket.bytes);

  std::string svg = fmt::format("<text x=\"{:.0f}\" y=\"24\" font-size=\"15\">Bytes of {} by the images that have them</text>\n",
                                kMargin, granularity.name);
  for (size_t row = 0; row < images.size(); ++row) {
    const double y = matrix + kRow * (static_cast<double>(row) + 0.5);
    svg += fmt::format("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">{} ({})</text>\n", kLabels - 8, y + 4,
                       row_label(images[row]), size_label(granularity.totals[row].bytes));
  }
  for (size_t i = 0; i < granularity.buckets.size(); ++i) {
    const Bucket& bucket = granularity.buckets[i];
    const double x = kLabels + kColumn * (static_cast<double>(i) + 0.5);
    const double length = kBars * static_cast<double>(bucket.bytes) / static_cast<double>(most);
    svg += fmt::format(
        "<g><title>{}: {} {}, {} bytes</title>\n<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.1f}\" "
        "fill=\"#3465a4\"/>\n<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
        escaped(bucket_text(bucket, images)), bucket.count, granularity.name, bucket.bytes, x - 18,
        kTop + kBars - length, 36.0, length, x, kTop + kBars - length - 5, size_label(bucket.bytes));
    double first = 0, last = 0;
    std::string dots;
    for (size_t row = 0; row < images.size(); ++row) {
      const double y = matrix + kRow * (static_cast<double>(row) + 0.5);
      const bool has = bucket.images >> row & 1;
      if (has) (first == 0 ? first : last) = y;
      dots +=
          fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"7\" fill=\"{}\"/>\n", x, y, has ? "#2e3436" : "#d3d7cf");
    }
    svg += dots;
    if (last > 0) {
      svg += fmt::format(
          "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#2e3436\" stroke-width=\"3\"/>\n",
          x, first, last);
    }
    svg += "</g>\n";
  }
  return svg;
}

}  // namespace

std::string plot(const Comparison& comparison) {
  const double step = height_of(comparison);
  const double height = step * static_cast<double>(comparison.granularities.size());
  double width = 0;
  for (const Granularity& granularity : comparison.granularities) width = std::max(width, width_of(granularity));
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, height);
  for (size_t i = 0; i < comparison.granularities.size(); ++i) {
    svg += fmt::format("<g transform=\"translate(0 {:.0f})\">\n{}</g>\n", step * static_cast<double>(i),
                       panel(comparison, comparison.granularities[i]));
  }
  return svg + "</svg>\n";
}

}  // namespace ipcs::image
