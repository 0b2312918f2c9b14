// Fuzzes the reader over DAGs that the input describes: blocks that contradict each other in every way. Whatever it
// reads is the same in one read, byte by byte and backwards, and it ends.
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/dag_reader.hpp"
#include "ipld/dag_walk.hpp"
#include "made_dag.hpp"

namespace {

using namespace ipcs::ipld;

constexpr uint64_t kMostRead = 4096;

void require(bool condition) {
  if (!condition) std::abort();
}

void read(BlockSource& store, const Cid& root) {
  std::optional<Bytes> whole;
  try {
    DagReader reader(store, root, 64);
    Bytes bytes(std::min(reader.size(), kMostRead));
    require(reader.read_at(0, bytes) == bytes.size());
    whole = std::move(bytes);
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kDataLoss || error.code() == ipcs::Code::kNotFound ||
            error.code() == ipcs::Code::kFailedPrecondition);
    return;
  }
  DagReader reader(store, root, 64);
  uint8_t byte = 0;
  for (size_t i = 0; i < whole->size(); ++i) require(reader.read_at(i, {&byte, 1}) == 1 && byte == (*whole)[i]);
  for (size_t i = whole->size(); i > 0; --i) require(reader.read_at(i - 1, {&byte, 1}) == 1 && byte == (*whole)[i - 1]);
  require(reader.read_at(reader.size(), {&byte, 1}) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemoryBlockstore store;
  const auto blocks = fuzz::make_dag({data, size}, store);
  if (blocks.empty()) return 0;
  read(store, blocks.back().first);
  try {
    NoBlocks nowhere;
    walk(store, blocks.back().first, nowhere);
  } catch (const ipcs::Error&) {
  }
  return 0;
}
