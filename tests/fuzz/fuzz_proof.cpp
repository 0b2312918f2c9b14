// Fuzzes the proof that a DAG holds given bytes: it ends soon, says yes to the bytes that a reader finds in the DAG or names
// a difference, and never says yes to others.
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/dag_reader.hpp"
#include "kubo/patience.hpp"
#include "made_dag.hpp"
#include "proof.hpp"

namespace {

using namespace ipcs::ipld;

constexpr uint64_t kMostRead = 4096;

void require(bool condition) {
  if (!condition) std::abort();
}

// What the reader finds below the root; nothing where it finds damage or too much.
std::optional<Bytes> bytes_of(BlockSource& store, const Cid& root) {
  try {
    DagReader reader(store, root, 0);
    if (reader.size() > kMostRead) return std::nullopt;
    Bytes bytes(static_cast<size_t>(reader.size()));
    reader.read_at(0, bytes);
    return bytes;
  } catch (const ipcs::Error&) {
    return std::nullopt;
  }
}

bool proved(BlockSource& store, const Cid& root, const Bytes& bytes) {
  const ipcs::kubo::OwnCall own;
  const ipcs::plugin::Call call = own.call();
  uint64_t blocks = 0;
  BlockCallback sink([&](const Cid& cid, BytesView data) {
    verify(cid, data);
    ++blocks;
  });
  const ipcs::ipfs_http::ReadBytes read = [&](uint64_t offset, std::span<uint8_t> out) {
    if (offset > bytes.size() || out.size() > bytes.size() - offset) throw ipcs::Error(ipcs::Code::kDataLoss, "the bytes end");
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  };
  bool yes = false;
  try {
    ipcs::ipfs_http::prove(call, store, root, bytes.size(), read, sink);
    yes = true;
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kFailedPrecondition || error.code() == ipcs::Code::kDataLoss ||
            error.code() == ipcs::Code::kNotFound || error.code() == ipcs::Code::kInvalidArgument);
  }
  require(blocks <= ipcs::ipfs_http::kMostNodes + bytes.size() / 1024);
  return yes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemoryBlockstore store;
  const auto blocks = fuzz::make_dag({data, size}, store);
  if (blocks.empty()) return 0;
  const Cid& root = blocks.back().first;
  const std::optional<Bytes> found = bytes_of(store, root);
  // Where the reader finds damage there are no bytes to be proved; the walk itself must end all the same.
  Bytes bytes = found.value_or(Bytes(static_cast<size_t>(std::min(blocks.back().second, kMostRead)), 0));
  if (proved(store, root, bytes)) require(found == bytes);
  if (bytes.empty()) return 0;
  bytes[bytes.size() / 2] ^= 1;
  require(!proved(store, root, bytes));
  return 0;
}
