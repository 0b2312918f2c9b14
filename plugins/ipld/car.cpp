// CARv1: sections out and in.
#include "ipld/car.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/car_header.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/varint.hpp"

namespace ipcs::ipld {
namespace {

constexpr size_t kMaxSection = kMaxBlockSize + 32 + Multihash::kMaxDigestSize;  // a block and its CID

[[noreturn]] void fail(Code code, uint64_t offset, std::string_view what) {
  throw Error(code, fmt::format("CAR: at byte {}: {}", offset, what));
}

}  // namespace

CarWriter::CarWriter(Output output, std::span<const Cid> roots) : output_(std::move(output)) {
  const Bytes header = encode_car_header(roots);
  append_varint(head_, header.size());
  head_.insert(head_.end(), header.begin(), header.end());
  write(head_);
}

void CarWriter::write(BytesView bytes) {
  output_(bytes);
  size_ += bytes.size();
}

void CarWriter::put(const Cid& cid, BytesView data) {
  head_.clear();
  append_varint(head_, cid.byte_size() + data.size());
  cid.append_to(head_);
  write(head_);
  write(data);
}

uint64_t CarWriter::section_size(const Cid& cid, size_t data_size) noexcept {
  const size_t inside = cid.byte_size() + data_size;
  return varint_size(inside) + inside;
}

void CarReader::append(BytesView bytes) {
  if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

// What stands behind the next length, if all of it is there. It points into the buffer.
std::optional<BytesView> CarReader::take_section(size_t most) {
  const BytesView rest = BytesView(buffer_).subspan(begin_);
  const VarintResult length = read_varint(rest);
  if (length.size == 0) {
    if (length.problem == VarintProblem::kCut) return std::nullopt;
    fail(Code::kInvalidArgument, offset_, "a length that is no varint");
  }
  if (length.value == 0) fail(Code::kInvalidArgument, offset_, "a section without bytes");
  if (length.value > most)
    fail(Code::kInvalidArgument, offset_,
         fmt::format("a section of {} bytes, where {} are allowed", length.value, most));
  if (rest.size() - length.size < length.value) return std::nullopt;
  begin_ += length.size + length.value;
  offset_ += length.size + length.value;
  return rest.subspan(length.size, length.value);
}

std::optional<Block> CarReader::next() {
  if (!roots_) {
    const auto header = take_section(kMaxCarHeader);
    if (!header) return std::nullopt;
    roots_ = decode_car_header(*header);
  }
  const uint64_t start = offset_;
  auto section = take_section(kMaxSection);
  if (!section) return std::nullopt;
  BytesView data = *section;
  const Cid cid = [&] {
    try {
      return Cid::take(data);
    } catch (const Error& error) {
      fail(Code::kInvalidArgument, start, error.what());
    }
  }();
  if (data.size() > kMaxBlockSize)
    fail(Code::kInvalidArgument, start, fmt::format("block {} has {} bytes", cid.to_string(), data.size()));
  verify(cid, data);
  ++blocks_;
  return Block{cid, Bytes(data.begin(), data.end())};
}

void CarReader::finish() const {
  if (!roots_) fail(Code::kDataLoss, offset_, "it ends before its header does");
  if (begin_ != buffer_.size()) fail(Code::kDataLoss, offset_, "it is cut off in this section");
}

}  // namespace ipcs::ipld
