// Frame headers and the headers of the blocks in a frame.
#include "ipld/zstd_frames.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"

namespace ipcs::ipld {
namespace {

constexpr uint32_t kMagic = 0xfd2fb528, kSkippable = 0x184d2a50, kSkippableMask = 0xfffffff0;
constexpr size_t kMagicSize = 4, kBlockHeader = 3, kChecksum = 4;

uint32_t little_endian(BytesView bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

[[noreturn]] void refuse(uint64_t offset, std::string_view why) {
  throw Error(Code::kInvalidArgument, fmt::format("no zstd frames: at byte {} {}", offset, why));
}

}  // namespace

size_t zstd_frame_size(BytesView bytes, uint64_t offset) {
  if (bytes.size() < kMagicSize) return 0;
  const uint32_t magic = little_endian(bytes, 0, kMagicSize);
  if ((magic & kSkippableMask) == kSkippable) {
    if (bytes.size() < 2 * kMagicSize) return 0;
    const size_t size = 2 * kMagicSize + little_endian(bytes, kMagicSize, 4);
    return size <= bytes.size() ? size : 0;
  }
  if (magic != kMagic) refuse(offset, "there is no frame");
  if (bytes.size() == kMagicSize) return 0;
  const uint8_t descriptor = bytes[kMagicSize];
  if ((descriptor & 0x08) != 0) refuse(offset, "a frame's header has a reserved bit");
  constexpr size_t kDictionary[] = {0, 1, 2, 4}, kContentSize[] = {0, 2, 4, 8};
  const bool single = (descriptor & 0x20) != 0;  // then there is no window size, but always one of the content
  const size_t content_size = single && descriptor >> 6 == 0 ? 1 : kContentSize[descriptor >> 6];
  size_t at = kMagicSize + 1 + (single ? 0 : 1) + kDictionary[descriptor & 3] + content_size;
  for (bool last = false; !last;) {
    if (bytes.size() < at + kBlockHeader) return 0;
    const uint32_t header = little_endian(bytes, at, kBlockHeader);
    last = (header & 1) != 0;
    const uint32_t type = header >> 1 & 3;
    if (type == 3) refuse(offset, "a frame has a block of a reserved type");
    at += kBlockHeader + (type == 1 ? 1 : header >> 3);  // 1: one byte, repeated
  }
  if ((descriptor & 0x04) != 0) at += kChecksum;
  return at <= bytes.size() ? at : 0;
}

size_t ZstdFrames::cut(BytesView bytes) {
  const size_t size = zstd_frame_size(bytes, offset_);
  if (size == 0) {
    refuse(offset_, bytes.size() < max_size() ? std::string("the last frame is cut short")
                                              : fmt::format("a frame has more than {} bytes", max_size()));
  }
  offset_ += size;
  return size;
}

}  // namespace ipcs::ipld
