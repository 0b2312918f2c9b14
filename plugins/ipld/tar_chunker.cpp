// Runs of small files, large files, and the archive's end.
#include "ipld/tar_chunker.hpp"

#include <algorithm>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

uint64_t hash_of(const TarEntry& entry) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  };
  if (!entry.prefix.empty()) {
    add(entry.prefix);
    add("/");
  }
  add(entry.path);
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111eb;
  return hash ^ hash >> 31;
}

}  // namespace

TarChunker::TarChunker(TarSizes sizes) : sizes_(sizes), cdc_(sizes.cdc_min, sizes.cdc_average, sizes.cdc_max) {}

size_t TarChunker::cut(BytesView bytes) {
  const size_t size = ended_              ? std::min(bytes.size(), sizes_.most)
                      : data_left_ > 0 ? cut_data(bytes)
                                          : cut_run(bytes);
  offset_ += size;
  return size;
}

size_t TarChunker::cut_data(BytesView bytes) {
  const BytesView data = bytes.first(static_cast<size_t>(std::min<uint64_t>(bytes.size(), data_left_)));
  const size_t size = cut_data_ ? cdc_.cut(data) : data.size();
  data_left_ -= size;
  return size;
}

size_t TarChunker::cut_run(BytesView bytes) {
  const bool whole = bytes.size() < max_size();  // the tar ends with them
  for (size_t at = 0;;) {
    if (at == bytes.size()) return at;
    const auto entry = read_tar_entry(bytes.subspan(at), whole, offset_ + at);
    if (!entry) {
      if (at > 0) return at;  // another time, with more bytes
      throw Error(Code::kInvalidArgument,
                  "no tar: at byte " + std::to_string(offset_) + " the headers of an entry are too long");
    }
    if (entry->end) {
      ended_ = true;
      return at > 0 ? at : std::min(bytes.size(), sizes_.most);
    }
    const size_t head = entry->head;
    uint64_t behind = entry->data + entry->padding;
    if (whole && behind > bytes.size() - at - head) {
      // Readers mind not when the last entry's padding is missing.
      if (entry->data != bytes.size() - at - head)
        throw Error(Code::kInvalidArgument, "no tar: at byte " + std::to_string(offset_ + bytes.size()) +
                                                " it ends in the middle of an entry");
      behind = entry->data;
    }
    const bool apart = entry->data > sizes_.alone || head + behind > sizes_.most;
    const uint64_t size = head + (apart ? 0 : behind);
    if (at > 0 && at + size > sizes_.most) return at;
    at += static_cast<size_t>(size);
    if (apart) {
      data_left_ = behind;
      cut_data_ = entry->data > sizes_.large;
      return at;
    }
    // 32 bits of the hash against size / target, in whole numbers.
    if (at >= sizes_.least && (hash_of(*entry) >> 32) * sizes_.target < size << 32) return at;
  }
}

}  // namespace ipcs::ipld
