// Reading the maps.
#include "diff/sparse.hpp"

#include <algorithm>
#include <limits>

namespace ipcs::diff {
namespace {

constexpr size_t kMaxMap = 1 << 20;  // bytes of a map, as an archive has it
constexpr size_t kRun = 24;          // bytes of a run in the old format

void read_block(ByteSource& source, TarBlock& block) {
  if (read_full(source, block) < block.size()) bad_archive("it ends in a sparse file's map");
}

std::string_view record(const PaxRecords& records, std::string_view key) {
  const auto found = records.find(key);
  return found == records.end() ? std::string_view() : std::string_view(found->second);
}

// Numbers, each at the end of a line, in whole blocks.
class MapText {
 public:
  MapText(ByteSource& source, uint64_t& stored) : source_(source), stored_(stored) {}

  int64_t next() {
    std::string line;
    for (;;) {
      if (at_ == block_.size()) refill();
      const char c = static_cast<char>(block_[at_++]);
      if (c == '\n') return parse_decimal(line, "a sparse file's map");
      if (line.size() > 20) bad_archive("a sparse file's map has a number that is too long");
      line += c;
    }
  }

 private:
  void refill() {
    total_ += block_.size();
    if (total_ > kMaxMap) bad_archive("a sparse file's map is too long");
    if (stored_ < block_.size()) bad_archive("a sparse file's map is cut off");
    read_block(source_, block_);
    stored_ -= block_.size();
    at_ = 0;
  }

  ByteSource& source_;
  uint64_t& stored_;
  TarBlock block_{};
  size_t at_ = kTarBlock;
  size_t total_ = 0;
};

Extents read_map_1_0(ByteSource& source, uint64_t& stored) {
  MapText text(source, stored);
  const int64_t count = text.next();
  if (count < 0 || count > static_cast<int64_t>(kMaxMap)) bad_archive("a sparse file's map has a wrong length");
  Extents map;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t offset = text.next();
    map.push_back({offset, text.next()});
  }
  return map;
}

Extents read_map_0_1(const PaxRecords& records) {
  const int64_t count = parse_decimal(record(records, "GNU.sparse.numblocks"), "the length of a sparse file's map");
  std::vector<int64_t> numbers;
  for (std::string_view text = record(records, "GNU.sparse.map"); !text.empty();) {
    const size_t comma = text.find(',');
    numbers.push_back(parse_decimal(text.substr(0, comma), "a sparse file's map"));
    if (comma == text.size() - 1) bad_archive("a sparse file's map ends with a comma");
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  if (count < 0 || numbers.size() % 2 != 0 || numbers.size() / 2 != static_cast<uint64_t>(count))
    bad_archive("a sparse file's map has a wrong length");
  Extents map;
  for (size_t i = 0; i < numbers.size(); i += 2) map.push_back({numbers[i], numbers[i + 1]});
  return map;
}

}  // namespace

Extents read_old_gnu_map(ByteSource& source, TarBlock block, TarEntry& entry) {
  if (format_of(block) != TarFormat::kGnu) bad_archive("a sparse file is of an unknown format");
  const auto number = [&](size_t offset) { return parse_number(std::span<const uint8_t>(block).subspan(offset, 12)); };
  entry.size = number(483);
  Extents map;
  size_t at = 386, runs = 4, total = 0;
  for (;;) {
    for (size_t i = 0; i < runs && block[at + i * kRun] != 0; ++i)
      map.push_back({number(at + i * kRun), number(at + i * kRun + 12)});
    if (block[at + runs * kRun] == 0) return map;
    total += block.size();
    if (total >= kMaxMap) bad_archive("a sparse file's map is too long");
    read_block(source, block);
    at = 0;
    runs = 21;
  }
}

std::optional<Extents> read_pax_map(ByteSource& source, const PaxRecords& records, TarEntry& entry, uint64_t& stored) {
  const std::string_view major = record(records, "GNU.sparse.major"), minor = record(records, "GNU.sparse.minor");
  bool is_1_0 = false;
  if (major == "1" && minor == "0") {
    is_1_0 = true;
  } else if (!(major == "0" && (minor == "0" || minor == "1"))) {
    if (!major.empty() || !minor.empty() || record(records, "GNU.sparse.map").empty()) return std::nullopt;
  }
  if (const auto name = record(records, "GNU.sparse.name"); !name.empty()) entry.name = name;
  std::string_view size = record(records, "GNU.sparse.size");
  if (size.empty()) size = record(records, "GNU.sparse.realsize");
  if (!size.empty()) entry.size = parse_decimal(size, "a sparse file's size");
  return is_1_0 ? read_map_1_0(source, stored) : read_map_0_1(records);
}

void check_map(const Extents& map, int64_t size) {
  if (size < 0) bad_archive("a sparse file has a negative size");
  int64_t end = 0;
  for (const Extent& run : map) {
    const bool fits = run.offset >= end && run.length >= 0 &&
                      run.offset <= std::numeric_limits<int64_t>::max() - run.length && run.offset + run.length <= size;
    if (!fits) bad_archive("a sparse file's map is in disorder");
    end = run.offset + run.length;
  }
}

}  // namespace ipcs::diff
