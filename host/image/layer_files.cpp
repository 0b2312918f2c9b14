// The worker's reader of archives on a layer.
#include "image/layer_files.hpp"

#include <algorithm>
#include <array>

#include "diff/tar_reader.hpp"
#include "image/unpack.hpp"
#include "ipcs/error.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kPiece = 128 << 10;

// The content of one file, holes and all.
class Content {
 public:
  Content(diff::TarReader& reader, const oci::Call& call) : reader_(reader), call_(call) {}

  void stored(uint64_t count) {
    while (count > 0) {
      call_.check();
      const auto piece = reader_.read(static_cast<size_t>(std::min<uint64_t>(count, kPiece)));
      if (piece.empty()) throw Error(Code::kInvalidArgument, "a sparse file lacks bytes");
      hasher_.update(piece);
      count -= piece.size();
    }
  }
  void zeros(uint64_t count) {
    static constexpr std::array<uint8_t, kPiece> kZeros{};
    while (count > 0) {
      call_.check();
      const auto piece = std::span(kZeros).first(static_cast<size_t>(std::min<uint64_t>(count, kPiece)));
      hasher_.update(piece);
      count -= piece.size();
    }
  }
  oci::Digest digest() const { return hasher_.digest(); }

 private:
  diff::TarReader& reader_;
  const oci::Call& call_;
  oci::Hasher hasher_{oci::Algorithm::kSha256};
};

void list_files(LayerTar& tar, const std::function<void(const oci::Digest&, uint64_t size)>& file, const oci::Call& call) {
  diff::TarReader reader(tar);
  while (const auto entry = reader.next()) {
    call.check();
    if (entry->type != diff::kRegular && entry->type != diff::kGnuSparse) continue;
    const auto size = static_cast<uint64_t>(entry->size);
    Content content(reader, call);
    if (entry->extents) {
      uint64_t at = 0;
      for (const diff::Extent& run : *entry->extents) {
        content.zeros(static_cast<uint64_t>(run.offset) - at);
        content.stored(static_cast<uint64_t>(run.length));
        at = static_cast<uint64_t>(run.offset + run.length);
      }
      content.zeros(size - at);
    } else {
      content.stored(size);
    }
    file(content.digest(), size);
  }
  // What follows the tar's end is part of the blob, which counts for nothing until its source has vouched for all of it.
  while (!tar.next(kPiece).empty()) call.check();
}

}  // namespace

void list_layer_files(oci::BlobSource& source, const oci::Descriptor& layer,
                      const std::function<void(const oci::Digest&, uint64_t size)>& file, const oci::Call& call) {
  try {
    LayerTar tar(source, layer, call);
    list_files(tar, file, call);
  } catch (const Error& e) {
    throw Error(e.code(), "layer " + layer.digest().to_string() + ": " + e.what());
  }
}

}  // namespace ipcs::image
