// zlib and libzstd, fed as bytes come.
#include "image/unpack.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kMagicSize = 4;
constexpr size_t kPiece = 256 << 10;
constexpr int kGzipWindow = 15 + 16;   // the largest, with gzip's header
constexpr int kMaxZstdWindow = 27;     // 128 MiB: zstd's own limit

[[noreturn]] void refuse(const std::string& why) { throw Error(Code::kInvalidArgument, why); }

}  // namespace

class Unpacker::Codec {
 public:
  virtual ~Codec() = default;
  virtual void append(std::span<const uint8_t> bytes, const oci::Sink& sink) = 0;
  virtual void finish() = 0;
};

class Unpacker::Plain final : public Codec {
 public:
  void append(std::span<const uint8_t> bytes, const oci::Sink& sink) override { sink(bytes); }
  void finish() override {}
};

class Unpacker::Gzip final : public Codec {
 public:
  Gzip() {
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK) throw Error(Code::kResourceExhausted, "no memory to gunzip");
  }
  ~Gzip() override { inflateEnd(&stream_); }

  void append(std::span<const uint8_t> bytes, const oci::Sink& sink) override {
    stream_.next_in = const_cast<Bytef*>(bytes.data());
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      if (ended_) {  // another member follows
        if (stream_.avail_in == 0) return;
        inflateReset(&stream_);
        ended_ = false;
      }
      stream_.next_out = out_.data();
      stream_.avail_out = static_cast<uInt>(out_.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        refuse(std::string("its gzip is damaged") + (stream_.msg == nullptr ? "" : std::string(": ") + stream_.msg));
      ended_ = result == Z_STREAM_END;
      if (const size_t count = out_.size() - stream_.avail_out; count > 0) sink(std::span(out_).first(count));
      if (result == Z_BUF_ERROR && stream_.avail_out > 0) return;
    } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  }
  void finish() override {
    if (!ended_) refuse("its gzip is cut short");
  }

 private:
  z_stream stream_{};
  std::vector<uint8_t> out_ = std::vector<uint8_t>(kPiece);
  bool ended_ = false;
};

class Unpacker::Zstd final : public Codec {
 public:
  Zstd() : context_(ZSTD_createDCtx(), &ZSTD_freeDCtx) {
    if (!context_) throw Error(Code::kResourceExhausted, "no memory to unpack zstd");
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxZstdWindow);
  }

  void append(std::span<const uint8_t> bytes, const oci::Sink& sink) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = false;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      left_ = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(left_) != 0) refuse(std::string("its zstd is damaged: ") + ZSTD_getErrorName(left_));
      if (out.pos > 0) sink(std::span(out_).first(out.pos));
      full = out.pos == out.size;
    }
  }
  void finish() override {
    if (left_ != 0) refuse("its zstd is cut short");
  }

 private:
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(kPiece);
  size_t left_ = 1;  // of the frame, as a hint; 0 at its end
};

Unpacker::Unpacker(oci::Sink sink) : sink_(std::move(sink)) {}
Unpacker::~Unpacker() = default;

void Unpacker::append(std::span<const uint8_t> bytes) {
  if (!codec_) {
    const size_t taken = std::min(bytes.size(), kMagicSize - first_.size());
    first_.insert(first_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    if (first_.size() < kMagicSize) return;
    begin();
  }
  if (!bytes.empty()) codec_->append(bytes, sink_);
}

void Unpacker::begin() {
  const auto begins = [&](std::initializer_list<uint8_t> magic) {
    return first_.size() >= magic.size() && std::equal(magic.begin(), magic.end(), first_.begin());
  };
  if (begins({0x1f, 0x8b, 0x08})) {
    codec_ = std::make_unique<Gzip>();
  } else if (begins({0x28, 0xb5, 0x2f, 0xfd}) || (first_.size() >= kMagicSize && (first_[0] & 0xf0) == 0x50 && first_[1] == 0x2a &&
                                                  first_[2] == 0x4d && first_[3] == 0x18)) {
    codec_ = std::make_unique<Zstd>();
  } else {
    codec_ = std::make_unique<Plain>();
  }
  if (!first_.empty()) codec_->append(first_, sink_);
}

void Unpacker::finish() {
  if (!codec_) begin();
  codec_->finish();
}

}  // namespace ipcs::image
