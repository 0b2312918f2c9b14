// Serialization into slices that gRPC sends without copying.
#include "service/messages.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/config_protobuf.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::service {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr uint32_t kLengthDelimited = 2;  // protobuf's wire type of a bytes field

uint8_t* start(const grpc::Slice& slice) { return const_cast<uint8_t*>(slice.begin()); }

}  // namespace

void parse(grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message) {
  grpc::ProtoBufferReader reader(&buffer);
  if (!reader.status().ok() || !message->ParseFromZeroCopyStream(&reader))
    throw Error(Code::kInvalidArgument, "the request is not a valid message of this method");
}

grpc::ByteBuffer serialize(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(start(slice));
  return grpc::ByteBuffer(&slice, 1);
}

std::optional<grpc::ByteBuffer> serialize_with_bytes(const google::protobuf::MessageLite& head, int number,
                                                     ReadMemory::Share share,
                                                     const std::function<bool(std::span<uint8_t>)>& fill) {
  const uint64_t size = share.size();
  const uint32_t tag = static_cast<uint32_t>(number) << 3 | kLengthDelimited;
  const size_t head_size = head.ByteSizeLong();
  const size_t prefix = head_size + CodedOutputStream::VarintSize32(tag) +
                        CodedOutputStream::VarintSize32(static_cast<uint32_t>(size));
  const grpc::Slice slice = ReadMemory::slice(std::move(share), prefix + size);
  uint8_t* at = head.SerializeWithCachedSizesToArray(start(slice));
  at = CodedOutputStream::WriteVarint32ToArray(tag, at);
  at = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), at);
  if (!fill({at, size})) return std::nullopt;
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace ipcs::service
