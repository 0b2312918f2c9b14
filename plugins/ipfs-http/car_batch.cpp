// Sections as they come, the guard and the header at the end.
#include "car_batch.hpp"

#include <sys/random.h>

#include <algorithm>
#include <string>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/varint.hpp"

namespace ipcs::ipfs_http {
namespace {

using ipld::Bytes;
using ipld::BytesView;
using ipld::Cid;

void append_section(Bytes& out, const Cid& cid, BytesView data) {
  ipld::append_varint(out, cid.byte_size() + data.size());
  cid.append_to(out);
  out.insert(out.end(), data.begin(), data.end());
}

// What a guard's data begins with; no UnixFS node's does.
std::string owner_mark(std::string_view store) { return "ipcs guard " + std::string(store) + "\n"; }

}  // namespace

CarBatch::CarBatch() {
  if (::getrandom(nonce_.data(), nonce_.size(), 0) != static_cast<ssize_t>(nonce_.size()))
    throw Error(Code::kInternal, "the kernel gives no random bytes");
}

void CarBatch::put(const Cid& cid, BytesView data) {
  append_section(sections_, cid, data);
  links_.push_back({cid, data.size()});
}

Bytes CarBatch::guard(std::string_view store) const {
  Bytes block;
  for (const Linked& link : links_) ipld::append_link(block, Cid::v1(ipld::Codec::kRaw, link.cid.hash()), "", link.size);
  const std::string mark = owner_mark(store);
  Bytes data(mark.begin(), mark.end());
  data.insert(data.end(), nonce_.begin(), nonce_.end());
  ipld::append_data(block, data);
  return block;
}

Cid CarBatch::root(std::string_view store) const {
  return Cid::v0(ipld::Multihash::of(ipld::HashCode::kSha2_256, guard(store)));
}

bool CarBatch::is_guard(BytesView block, std::string_view store) {
  try {
    const std::string mark = owner_mark(store);
    const ipld::Node node = ipld::decode_dag_pb(block);
    return node.data && node.data->size() == mark.size() + sizeof nonce_ && std::equal(mark.begin(), mark.end(), node.data->begin());
  } catch (const Error&) {
    return false;  // no dag-pb at all
  }
}

void CarBatch::send(const plugin::Call& call, kubo::Rpc& rpc, std::string_view store) const {
  const Cid pinned = root(store);
  Bytes header, tail;
  const ipld::CarWriter head([&](BytesView bytes) { header.insert(header.end(), bytes.begin(), bytes.end()); }, {&pinned, 1});
  append_section(tail, pinned, guard(store));
  rpc.dag_import(call, {header, sections_, tail}, true);
}

}  // namespace ipcs::ipfs_http
