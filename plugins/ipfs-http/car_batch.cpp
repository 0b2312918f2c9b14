// Sections as they come, the guard and the header at the end.
#include "car_batch.hpp"

#include <sys/random.h>

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

}  // namespace

CarBatch::CarBatch() {
  if (::getrandom(nonce_.data(), nonce_.size(), 0) != static_cast<ssize_t>(nonce_.size()))
    throw Error(Code::kInternal, "the kernel gives no random bytes");
}

void CarBatch::put(const Cid& cid, BytesView data) {
  append_section(sections_, cid, data);
  links_.push_back({cid, data.size()});
}

Bytes CarBatch::guard() const {
  Bytes block;
  for (const Linked& link : links_) ipld::append_link(block, Cid::v1(ipld::Codec::kRaw, link.cid.hash()), "", link.size);
  ipld::append_data(block, nonce_);
  return block;
}

Cid CarBatch::root() const { return Cid::v0(ipld::Multihash::of(ipld::HashCode::kSha2_256, guard())); }

void CarBatch::send(const plugin::Call& call, kubo::Rpc& rpc) const {
  const Cid pinned = root();
  Bytes header, tail;
  const ipld::CarWriter head([&](BytesView bytes) { header.insert(header.end(), bytes.begin(), bytes.end()); }, {&pinned, 1});
  append_section(tail, pinned, guard());
  rpc.dag_import(call, {header, sections_, tail}, true);
}

}  // namespace ipcs::ipfs_http
