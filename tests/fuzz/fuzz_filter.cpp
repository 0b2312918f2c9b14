// Fuzzes parsing and matching of filters; the input is a list of them, separated by the byte 0x1f.
#include <algorithm>
#include <cstdlib>
#include <optional>

#include "content/filter.hpp"
#include "ipcs/error.hpp"

using ipcs::content::BlobAdaptor;
using ipcs::content::Filter;
using ipcs::content::IngestAdaptor;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find('\x1f');
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<Filter> parse(std::span<const std::string> filters) {
  try {
    return Filter::parse(filters);
  } catch (const ipcs::Error& error) {
    const std::string_view message = error.what();
    require(error.code() == ipcs::Code::kInvalidArgument);
    require(message.starts_with("filters: ") && message.size() < 1000 && message.find('\n') == message.npos);
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const BlobAdaptor::Labels kLabels{
      {"foo", "true"}, {"a.b", "größe \xff"}, {"containerd.io/gc.root", "2024"}, {"", "x"}};
  static const BlobAdaptor kBlob("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", kLabels);
  static const IngestAdaptor kIngest("layer-sha256:e3b0c442");

  const std::vector<std::string> filters = split({reinterpret_cast<const char*>(data), size});
  const std::optional<Filter> all = parse(filters);
  if (!all) return 0;
  // Several filters are accepted when each one is, and match what one of them matches.
  bool blob = false, ingest = false;
  for (const std::string& text : filters) {
    const std::optional<Filter> one = parse(std::span(&text, 1));
    require(one.has_value());
    require(!text.empty() || (one->matches(kBlob) && one->matches(kIngest)));
    blob |= one->matches(kBlob);
    ingest |= one->matches(kIngest);
  }
  require(all->matches(kBlob) == blob && all->matches(kIngest) == ingest);
  return 0;
}
