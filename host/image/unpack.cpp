// The worker's decompressors on a stream of a blob.
#include "image/unpack.hpp"

#include <algorithm>
#include <string>

#include "image/blob_stream.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kPiece = 256 << 10;
constexpr size_t kBeginning = 10;  // bytes that tell the compression

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

// The blob as it is stored.
class LayerTar::Stored final : public diff::ByteSource {
 public:
  Stored(oci::BlobSource& source, const oci::Descriptor& layer, const oci::Call& call, std::function<void(uint64_t)> progress)
      : stream_(source, layer, call), progress_(std::move(progress)) {}

  // The first bytes, before any is taken; fewer when there are no more.
  std::span<const uint8_t> beginning() {
    while (piece_.size() < kBeginning) {
      const std::string more = stream_.next();
      if (more.empty()) break;
      piece_ += more;
    }
    rest_ = bytes_of(piece_);
    return rest_;
  }

  std::span<const uint8_t> next(size_t max) override {
    if (rest_.empty()) {
      piece_ = stream_.next();
      rest_ = bytes_of(piece_);
    }
    const auto taken = rest_.first(std::min(max, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    taken_ += taken.size();
    if (progress_ && !taken.empty()) progress_(taken_);
    return taken;
  }

 private:
  BlobStream stream_;
  const std::function<void(uint64_t)> progress_;
  std::string piece_;
  std::span<const uint8_t> rest_;  // of piece_
  uint64_t taken_ = 0;
};

LayerTar::LayerTar(oci::BlobSource& source, const oci::Descriptor& layer, const oci::Call& call,
                   std::function<void(uint64_t)> progress)
    : stored_(std::make_unique<Stored>(source, layer, call, std::move(progress))),
      decompressor_(diff::make_decompressor(diff::detect(stored_->beginning()), *stored_)),
      buffer_(kPiece) {}

LayerTar::~LayerTar() = default;

std::span<const uint8_t> LayerTar::next(size_t max) {
  if (rest_.empty() && !ended_) {
    const size_t count = decompressor_->read(buffer_);
    ended_ = count < buffer_.size();
    rest_ = std::span<const uint8_t>(buffer_).first(count);
  }
  const auto taken = rest_.first(std::min(max, rest_.size()));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

}  // namespace ipcs::image
