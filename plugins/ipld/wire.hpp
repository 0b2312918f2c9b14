// The protobuf wire format, as far as dag-pb and UnixFS need it. For this room alone.
#pragma once

#include "ipld/bytes.hpp"

namespace ipcs::ipld::wire {

enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Type type = Type::kVarint;
  uint64_t value = 0;  // of a kVarint
  BytesView bytes;     // of a kBytes: points into the message; of fixed ones too
};

// Reads the fields of one message in their order. The message outlives it.
class Reader {
 public:
  // `format` names the message in errors, e.g. "dag-pb".
  Reader(BytesView message, std::string_view format) noexcept : rest_(message), format_(format) {}

  // The next field; false at the end. Throws Error kInvalidArgument when the message is malformed.
  bool next(Field& field);
  // Throws Error kInvalidArgument that names the format and the problem.
  [[noreturn]] void fail(std::string_view problem) const;
  // Throws that a field has another type than `type`, if so.
  void require(const Field& field, Type type) const;
  // A number of at most 64 bits off the front of `bytes`, as in packed fields.
  uint64_t take_number(BytesView& bytes) const;

 private:
  BytesView take(uint64_t size);

  BytesView rest_;
  std::string_view format_;
};

// Writing appends to `out`.
void append_number(Bytes& out, uint64_t value);
void append_varint_field(Bytes& out, unsigned number, uint64_t value);
void append_bytes_field(Bytes& out, unsigned number, BytesView bytes);
// Only what stands before the bytes.
void append_bytes_header(Bytes& out, unsigned number, size_t size);
size_t number_size(uint64_t value) noexcept;

}  // namespace ipcs::ipld::wire
