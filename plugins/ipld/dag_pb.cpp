// dag-pb: reading and writing.
#include "ipld/dag_pb.hpp"

#include <fmt/format.h>

#include "ipcs/error.hpp"
#include "ipld/wire.hpp"

namespace ipcs::ipld {
namespace {

// Fields of PBNode and of PBLink.
constexpr unsigned kData = 1, kLinks = 2;
constexpr unsigned kHash = 1, kName = 2, kTsize = 3;

constexpr std::string_view kFormat = "dag-pb";

Link decode_link(BytesView message) {
  wire::Reader reader(message, kFormat);
  std::optional<Cid> cid;
  std::string name;
  uint64_t tsize = 0, last = 0;
  for (wire::Field field; reader.next(field); last = field.number) {
    if (field.number <= last) reader.fail(fmt::format("field {} of a link is out of order", field.number));
    switch (field.number) {
      case kHash:
        reader.require(field, wire::Type::kBytes);
        cid = Cid::from_bytes(field.bytes);
        break;
      case kName:
        reader.require(field, wire::Type::kBytes);
        name = as_text(field.bytes);
        break;
      case kTsize:
        reader.require(field, wire::Type::kVarint);
        tsize = field.value;
        break;
      default:
        reader.fail(fmt::format("unknown field {} of a link", field.number));
    }
  }
  if (!cid) reader.fail("a link has no hash");
  return Link{*cid, std::move(name), tsize};
}

}  // namespace

Node decode_dag_pb(BytesView block) {
  wire::Reader reader(block, kFormat);
  if (block.size() > kMaxBlockSize) reader.fail(fmt::format("a block of {} bytes", block.size()));
  Node node;
  bool links_ended = false;
  for (wire::Field field; reader.next(field);) {
    reader.require(field, wire::Type::kBytes);
    if (field.number == kData) {
      if (node.data) reader.fail("data stands there twice");
      node.data.emplace(field.bytes.begin(), field.bytes.end());
      links_ended = !node.links.empty();
    } else if (field.number == kLinks) {
      if (links_ended) reader.fail("links stand before and behind the data");
      if (node.links.size() == kMaxLinks) reader.fail(fmt::format("more than {} links", kMaxLinks));
      node.links.push_back(decode_link(field.bytes));
    } else {
      reader.fail(fmt::format("unknown field {}", field.number));
    }
  }
  return node;
}

void append_link(Bytes& out, const Cid& cid, std::string_view name, uint64_t tsize) {
  const size_t hash_size = cid.byte_size();
  wire::append_bytes_header(out, kLinks,
                            1 + wire::number_size(hash_size) + hash_size + 1 + wire::number_size(name.size()) +
                                name.size() + 1 + wire::number_size(tsize));
  wire::append_bytes_header(out, kHash, hash_size);
  cid.append_to(out);
  wire::append_bytes_field(out, kName, as_bytes(name));
  wire::append_varint_field(out, kTsize, tsize);
}

void append_data(Bytes& out, BytesView data) {
  wire::append_bytes_field(out, kData, data);
}

Bytes encode_dag_pb(const Node& node) {
  Bytes block;
  for (const Link& link : node.links) append_link(block, link.cid, link.name, link.tsize);
  if (node.data) append_data(block, *node.data);
  return block;
}

}  // namespace ipcs::ipld
