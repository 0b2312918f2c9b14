// Fuzzes dag-pb and the UnixFS message in it: what is read and written again is read the same.
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/dag_pb.hpp"
#include "ipld/unixfs.hpp"

namespace {

using namespace ipcs::ipld;

void require(bool condition) {
  if (!condition) std::abort();
}

void message(BytesView bytes) {
  try {
    const Unixfs unixfs = Unixfs::decode(bytes);
    const Unixfs again = Unixfs::decode(unixfs.encode());
    require(again.type == unixfs.type && again.data == unixfs.data && again.file_size == unixfs.file_size);
    require(again.block_sizes == unixfs.block_sizes && again.fanout == unixfs.fanout && again.mode == unixfs.mode);
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kInvalidArgument);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const BytesView bytes(data, size);
  message(bytes);
  try {
    const Node node = decode_dag_pb(bytes);
    require(node.links.size() <= size);
    const Bytes block = encode_dag_pb(node);
    const Node again = decode_dag_pb(block);
    require(again.data == node.data && again.links.size() == node.links.size());
    for (size_t i = 0; i < node.links.size(); ++i)
      require(again.links[i].cid == node.links[i].cid && again.links[i].name == node.links[i].name &&
              again.links[i].tsize == node.links[i].tsize);
    if (node.data) message(*node.data);
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kInvalidArgument);
  }
  return 0;
}
