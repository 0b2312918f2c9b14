// Telling formats apart; zstd, and bytes as they are.
#include "diff/decompressor.hpp"

#include <zstd.h>

#include <string>

#include "diff/gzip.hpp"
#include "ipcs/error.hpp"

namespace ipcs::diff {
namespace {

class Plain final : public Decompressor {
 public:
  explicit Plain(ByteSource& source) : source_(source) {}
  size_t read(std::span<uint8_t> out) override { return read_full(source_, out); }

 private:
  ByteSource& source_;
};

class Zstd final : public Decompressor {
 public:
  explicit Zstd(ByteSource& source) : source_(source), stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) throw Error(Code::kResourceExhausted, "no memory for zstd");
  }
  ~Zstd() override { ::ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  size_t read(std::span<uint8_t> out) override {
    ZSTD_outBuffer made{out.data(), out.size(), 0};
    while (made.pos < made.size) {
      if (rest_.empty()) rest_ = source_.next(256 * 1024);
      ZSTD_inBuffer in{rest_.data(), rest_.size(), 0};
      if (rest_.empty() && whole_) break;
      const size_t before = made.pos;
      const size_t wanted = ::ZSTD_decompressStream(stream_, &made, &in);
      if (::ZSTD_isError(wanted) != 0)
        throw Error(Code::kDataLoss, std::string("the zstd stream is damaged: ") + ::ZSTD_getErrorName(wanted));
      if (rest_.empty() && made.pos == before) throw Error(Code::kDataLoss, "the zstd stream is cut off");
      whole_ = wanted == 0;  // a frame ends here
      rest_ = rest_.subspan(in.pos);
    }
    return made.pos;
  }

 private:
  ByteSource& source_;
  ZSTD_DStream* const stream_;
  std::span<const uint8_t> rest_;
  bool whole_ = true;
};

uint32_t little_endian(std::span<const uint8_t> bytes) {
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
}

}  // namespace

Compression detect(std::span<const uint8_t> beginning) {
  if (beginning.size() >= 3 && beginning[0] == 0x1f && beginning[1] == 0x8b && beginning[2] == 8)
    return Compression::kGzip;
  if (beginning.size() >= 4 && little_endian(beginning) == ZSTD_MAGICNUMBER) return Compression::kZstd;
  if (beginning.size() >= 8 && (little_endian(beginning) & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
    return Compression::kZstd;
  return Compression::kNone;
}

std::unique_ptr<Decompressor> make_decompressor(Compression compression, ByteSource& source) {
  switch (compression) {
    case Compression::kGzip: return make_gzip(source);
    case Compression::kZstd: return std::make_unique<Zstd>(source);
    case Compression::kNone: break;
  }
  return std::make_unique<Plain>(source);
}

}  // namespace ipcs::diff
