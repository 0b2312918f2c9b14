// Protobuf messages in and out of gRPC's byte buffers.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "service/read_memory.hpp"

namespace ipcs::service {

// Throws Error kInvalidArgument when the bytes are not such a message.
void parse(grpc::ByteBuffer& buffer, google::protobuf::MessageLite* message);

grpc::ByteBuffer serialize(const google::protobuf::MessageLite& message);

// A message of which a `bytes` field is filled in place: `head` (fields before it, serialized), then field `number` with
// the share's bytes, which `fill` writes. No copy is made of them. No message when `fill` says that it could not.
std::optional<grpc::ByteBuffer> serialize_with_bytes(const google::protobuf::MessageLite& head, int number,
                                                     ReadMemory::Share share,
                                                     const std::function<bool(std::span<uint8_t>)>& fill);

}  // namespace ipcs::service
