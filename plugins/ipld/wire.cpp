// The protobuf wire format.
#include "ipld/wire.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"

namespace ipcs::ipld::wire {
namespace {

constexpr uint64_t kMaxFieldNumber = (1u << 29) - 1;

}  // namespace

void Reader::fail(std::string_view problem) const {
  throw Error(Code::kInvalidArgument, fmt::format("{}: {}", format_, problem));
}

void Reader::require(const Field& field, Type type) const {
  if (field.type != type)
    fail(fmt::format("field {} has wire type {}", field.number, static_cast<unsigned>(field.type)));
}

uint64_t Reader::take_number(BytesView& bytes) const {
  uint64_t value = 0;
  for (size_t i = 0; i < 10; ++i) {
    if (i == bytes.size()) fail("a number is cut off");
    const uint8_t byte = bytes[i];
    if (i == 9 && byte > 1) break;
    value |= uint64_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) {
      bytes = bytes.subspan(i + 1);
      return value;
    }
  }
  fail("a number has more than 64 bits");
}

BytesView Reader::take(uint64_t size) {
  if (size > rest_.size()) fail(fmt::format("a field of {} bytes where {} are left", size, rest_.size()));
  const BytesView taken = rest_.first(size);
  rest_ = rest_.subspan(size);
  return taken;
}

bool Reader::next(Field& field) {
  if (rest_.empty()) return false;
  const uint64_t tag = take_number(rest_);
  field = Field{.number = tag >> 3, .type = static_cast<Type>(tag & 7), .value = 0, .bytes = {}};
  if (field.number == 0 || field.number > kMaxFieldNumber) fail(fmt::format("field number {}", field.number));
  switch (field.type) {
    case Type::kVarint:
      field.value = take_number(rest_);
      return true;
    case Type::kBytes:
      field.bytes = take(take_number(rest_));
      return true;
    case Type::kFixed64:
      field.bytes = take(8);
      return true;
    case Type::kFixed32:
      field.bytes = take(4);
      return true;
  }
  fail(fmt::format("field {} has wire type {}", field.number, tag & 7));
}

void append_number(Bytes& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

void append_varint_field(Bytes& out, unsigned number, uint64_t value) {
  append_number(out, number << 3 | static_cast<unsigned>(Type::kVarint));
  append_number(out, value);
}

void append_bytes_header(Bytes& out, unsigned number, size_t size) {
  append_number(out, number << 3 | static_cast<unsigned>(Type::kBytes));
  append_number(out, size);
}

void append_bytes_field(Bytes& out, unsigned number, BytesView bytes) {
  append_bytes_header(out, number, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

size_t number_size(uint64_t value) noexcept {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

}  // namespace ipcs::ipld::wire
