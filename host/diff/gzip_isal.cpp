// gzip by ISA-L.
#include <isa-l/igzip_lib.h>

#include <memory>
#include <string>

#include "diff/gzip.hpp"
#include "diff/gzip_members.hpp"

namespace ipcs::diff {
namespace {

class IsalGzip final : public Decompressor {
 public:
  explicit IsalGzip(ByteSource& source) : input_(source) { begin(); }

  size_t read(std::span<uint8_t> out) override {
    size_t done = 0;
    while (done < out.size() && !over_) {
      const auto in = input_.bytes();
      const bool cut = in.empty();
      state_->next_in = const_cast<uint8_t*>(in.data());
      state_->avail_in = static_cast<uint32_t>(in.size());
      state_->next_out = out.data() + done;
      state_->avail_out = static_cast<uint32_t>(out.size() - done);
      const int result = isal_inflate(state_.get());
      if (result < 0) throw Error(Code::kDataLoss, "the gzip stream is damaged");
      const size_t made = out.size() - done - state_->avail_out;
      done += made;
      input_.keep(state_->avail_in);
      if (state_->block_state == ISAL_BLOCK_FINISH) {
        over_ = !input_.at_next_member();
        if (!over_) begin();
      } else if (cut && made == 0) {
        throw Error(Code::kDataLoss, "the gzip stream is cut off");
      }
    }
    return done;
  }

 private:
  void begin() {
    input_.join_header();
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  GzipInput input_;
  const std::unique_ptr<inflate_state> state_ = std::make_unique<inflate_state>();
  bool over_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> make_gzip(ByteSource& source) { return std::make_unique<IsalGzip>(source); }

const char* gzip_library() { return "ISA-L"; }

}  // namespace ipcs::diff
