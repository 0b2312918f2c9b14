// UnixFS: reading and writing the message.
#include "ipld/unixfs.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/wire.hpp"

namespace ipcs::ipld {
namespace {

constexpr unsigned kType = 1, kData = 2, kFileSize = 3, kBlockSizes = 4, kHashType = 5, kFanout = 6, kMode = 7;
constexpr unsigned kNodeData = 1;  // of the dag-pb node around it

void add_block_size(wire::Reader& reader, Unixfs& result, uint64_t size) {
  if (result.block_sizes.size() == kMaxLinks) reader.fail(fmt::format("more than {} block sizes", kMaxLinks));
  result.block_sizes.push_back(size);
}

void read_block_sizes(wire::Reader& reader, const wire::Field& field, Unixfs& result) {
  if (field.type != wire::Type::kBytes) {
    reader.require(field, wire::Type::kVarint);
    add_block_size(reader, result, field.value);
    return;
  }
  for (BytesView packed = field.bytes; !packed.empty();) add_block_size(reader, result, reader.take_number(packed));
}

uint64_t number(const wire::Reader& reader, const wire::Field& field) {
  reader.require(field, wire::Type::kVarint);
  return field.value;
}

}  // namespace

std::string to_string(UnixfsType type) {
  switch (type) {
    case UnixfsType::kRaw:
      return "raw";
    case UnixfsType::kDirectory:
      return "directory";
    case UnixfsType::kFile:
      return "file";
    case UnixfsType::kMetadata:
      return "metadata";
    case UnixfsType::kSymlink:
      return "symbolic link";
    case UnixfsType::kHamtShard:
      return "HAMT shard";
  }
  return fmt::format("type {}", static_cast<uint64_t>(type));
}

Unixfs Unixfs::decode(BytesView message) {
  wire::Reader reader(message, "UnixFS");
  Unixfs result;
  std::optional<uint64_t> type;
  for (wire::Field field; reader.next(field);) {
    switch (field.number) {
      case kType:
        type = number(reader, field);
        break;
      case kData:
        reader.require(field, wire::Type::kBytes);
        result.data.emplace(field.bytes.begin(), field.bytes.end());
        break;
      case kFileSize:
        result.file_size = number(reader, field);
        break;
      case kBlockSizes:
        read_block_sizes(reader, field, result);
        break;
      case kHashType:
        result.hash_type = number(reader, field);
        break;
      case kFanout:
        result.fanout = number(reader, field);
        break;
      case kMode:
        result.mode = number(reader, field);
        break;
      default:
        break;
    }
  }
  if (!type) reader.fail("it has no type");
  if (*type > static_cast<uint64_t>(UnixfsType::kHamtShard)) reader.fail(fmt::format("unknown type {}", *type));
  result.type = static_cast<UnixfsType>(*type);
  return result;
}

Bytes Unixfs::encode() const {
  Bytes out;
  wire::append_varint_field(out, kType, static_cast<uint64_t>(type));
  if (data) wire::append_bytes_field(out, kData, *data);
  if (file_size) wire::append_varint_field(out, kFileSize, *file_size);
  for (const uint64_t size : block_sizes) wire::append_varint_field(out, kBlockSizes, size);
  if (hash_type) wire::append_varint_field(out, kHashType, *hash_type);
  if (fanout) wire::append_varint_field(out, kFanout, *fanout);
  if (mode) wire::append_varint_field(out, kMode, *mode);
  return out;
}

LeafFrame leaf_frame(size_t size) {
  Bytes inner;  // UnixFS up to the bytes
  wire::append_varint_field(inner, kType, static_cast<uint64_t>(UnixfsType::kFile));
  if (size > 0) wire::append_bytes_header(inner, kData, size);
  LeafFrame frame;
  wire::append_varint_field(frame.behind, kFileSize, size);
  wire::append_bytes_header(frame.before, kNodeData, inner.size() + size + frame.behind.size());
  frame.before.insert(frame.before.end(), inner.begin(), inner.end());
  return frame;
}

}  // namespace ipcs::ipld
