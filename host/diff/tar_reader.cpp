// Headers, those that speak of the next one, and the bytes between them.
#include "diff/tar_reader.hpp"

#include <algorithm>

#include "diff/sparse.hpp"

namespace ipcs::diff {
namespace {

constexpr int64_t kMaxSpecial = 1 << 20;  // bytes of an extended header or a long name

bool is_zero(const TarBlock& block) {
  return std::all_of(block.begin(), block.end(), [](uint8_t c) { return c == 0; });
}

std::string up_to_nul(std::string text) {
  text.resize(std::min(text.size(), text.find('\0')));
  return text;
}

}  // namespace

std::span<const uint8_t> TarReader::read(size_t max) {
  if (stored_ == 0) return {};
  const auto piece = source_.next(static_cast<size_t>(std::min<uint64_t>(max, stored_)));
  if (piece.empty()) bad_archive("it ends in the middle of a file");
  stored_ -= piece.size();
  return piece;
}

void TarReader::skip_rest() {
  if (skip(source_, stored_) < stored_) bad_archive("it ends in the middle of a file");
  skip(source_, padding_);  // the last one's may be missing
  stored_ = padding_ = 0;
}

bool TarReader::read_block(TarBlock& block) {
  const size_t count = read_full(source_, block);
  if (count != 0 && count < block.size()) bad_archive("it ends in the middle of a header");
  return count != 0;
}

void TarReader::set_stored(const TarEntry& entry) {
  const int64_t size = has_no_bytes(entry.type) ? 0 : entry.size;
  if (size < 0) bad_archive("a file has a negative size");
  stored_ = static_cast<uint64_t>(size);
  padding_ = -stored_ % kTarBlock;
}

std::string TarReader::read_special(const TarEntry& entry) {
  if (entry.size > kMaxSpecial) bad_archive("an extended header is too long");
  std::string text(stored_, '\0');
  const std::span<uint8_t> out(reinterpret_cast<uint8_t*>(text.data()), text.size());
  if (read_full(source_, out) < out.size()) bad_archive("it ends in an extended header");
  stored_ = 0;
  return text;
}

void TarReader::finish_entry(const TarBlock& block, const PaxRecords& records, TarEntry& entry) {
  // Its size may be another one now.
  set_stored(entry);
  const bool no_bytes = has_no_bytes(entry.type);
  if (entry.type == kGnuSparse) {
    entry.extents = read_old_gnu_map(source_, block, entry);
  } else {
    entry.extents = read_pax_map(source_, records, entry, stored_);
  }
  if (!entry.extents) return;
  if (no_bytes) bad_archive("what has no bytes is said to be sparse");
  check_map(*entry.extents, entry.size);
}

std::optional<TarEntry> TarReader::next() {
  PaxRecords records;
  std::string long_name, long_link;
  for (;;) {
    skip_rest();
    TarBlock block;
    if (!read_block(block)) return std::nullopt;
    if (is_zero(block)) {
      if (!read_block(block) || is_zero(block)) return std::nullopt;
      bad_archive("a single block of zeros stands in it");
    }
    TarEntry entry = parse_header(block);
    set_stored(entry);
    switch (entry.type) {
      case kPaxGlobal:
        // What it says of all files is not heeded, as by containerd, but must be well-formed.
        records = parse_pax(read_special(entry));
        if (const auto path = records.find("path"); path != records.end() && !path->second.empty())
          entry.name = path->second;
        return entry;
      case kPaxLocal: records = parse_pax(read_special(entry)); continue;
      case kGnuLongName: long_name = up_to_nul(read_special(entry)); continue;
      case kGnuLongLink: long_link = up_to_nul(read_special(entry)); continue;
      default: break;
    }
    merge_pax(records, entry);
    if (!long_name.empty()) entry.name = long_name;
    if (!long_link.empty()) entry.link = long_link;
    if (entry.type == '\0') entry.type = entry.name.ends_with('/') ? kDirectory : kRegular;
    finish_entry(block, records, entry);
    return entry;
  }
}

}  // namespace ipcs::diff
