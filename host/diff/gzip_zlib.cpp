// gzip by zlib.
#include <zlib.h>

#include "diff/gzip.hpp"
#include "diff/gzip_members.hpp"

namespace ipcs::diff {
namespace {

constexpr int kGzipOnly = 15 + 16;  // window bits, as zlib writes "a gzip header is wanted"

class ZlibGzip final : public Decompressor {
 public:
  explicit ZlibGzip(ByteSource& source) : input_(source) {
    if (::inflateInit2(&stream_, kGzipOnly) != Z_OK) throw Error(Code::kResourceExhausted, "no memory for zlib");
  }
  ~ZlibGzip() override { ::inflateEnd(&stream_); }
  ZlibGzip(const ZlibGzip&) = delete;
  ZlibGzip& operator=(const ZlibGzip&) = delete;

  size_t read(std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size() && !over_) {
      const auto in = input_.bytes();
      stream_.next_in = const_cast<uint8_t*>(in.data());
      stream_.avail_in = static_cast<uInt>(in.size());
      stream_.next_out = out.data() + done;
      stream_.avail_out = static_cast<uInt>(out.size() - done);
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      const size_t made = out.size() - done - stream_.avail_out;
      done += made;
      input_.keep(stream_.avail_in);
      if (result == Z_STREAM_END) {
        over_ = !input_.at_next_member();
        if (!over_) ::inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        throw Error(Code::kDataLoss, "the gzip stream is damaged");
      } else if (in.empty() && made == 0) {
        throw Error(Code::kDataLoss, "the gzip stream is cut off");
      }
    }
    return done;
  }

 private:
  GzipInput input_;
  z_stream stream_{};
  bool over_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> make_gzip(ByteSource& source) { return std::make_unique<ZlibGzip>(source); }

const char* gzip_library() { return "zlib"; }

}  // namespace ipcs::diff
