// Fuzzes the CAR reader: the same result in one piece and byte by byte, and every block has its hash.
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/car.hpp"

namespace {

using namespace ipcs::ipld;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::vector<Cid> blocks;
  std::optional<std::vector<Cid>> roots;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome read(BytesView car, size_t piece) {
  Outcome outcome;
  CarReader reader;
  try {
    while (!car.empty()) {
      const size_t size = std::min(piece, car.size());
      reader.append(car.first(size));
      car = car.subspan(size);
      while (const auto block = reader.next()) {
        require(block->cid.hash().matches(block->data));
        outcome.blocks.push_back(block->cid);
      }
    }
    reader.finish();
  } catch (const ipcs::Error& error) {
    outcome.error = error.what();
    require(!outcome.error.empty());
  }
  outcome.roots = reader.roots();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const BytesView car(data, size);
  require(read(car, size + 1) == read(car, 1));
  return 0;
}
