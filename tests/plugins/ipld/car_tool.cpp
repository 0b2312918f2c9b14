// Writes and reads CARs with plugins/ipld for tests against other programs: `car_tool write PROFILE CHUNKER FILE CAR`
// prints the root, `car_tool read CAR` writes the file under the CAR's one root to standard output.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "ipcs/error.hpp"
#include "ipld/car.hpp"
#include "ipld/dag_builder.hpp"
#include "ipld/dag_reader.hpp"
#include "ipld/dag_walk.hpp"

namespace {

using namespace ipcs::ipld;

constexpr size_t kPiece = 70'001;  // no divisor of anything

Bytes read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ipcs::Error(ipcs::Code::kNotFound, fmt::format("{}: can't be read", path));
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

int write(const char* profile_name, const char* chunker, const char* file, const char* car) {
  Profile profile = named_profile(profile_name);
  if (*chunker != '\0') profile.chunker = chunker;
  MemoryBlockstore store;
  DagBuilder builder(profile, store);
  builder.append(read_file(file));
  const Subtree root = builder.finish();
  std::ofstream out(car, std::ios::binary);
  CarWriter writer([&](BytesView bytes) { out << as_text(bytes); }, std::span(&root.cid, 1));
  walk(store, root.cid, writer);
  out.close();
  fmt::print("{}\n", root.cid.to_string());
  return out ? 0 : 1;
}

int read(const char* car) {
  const Bytes bytes = read_file(car);
  MemoryBlockstore store;
  CarReader reader;
  for (BytesView rest = bytes; !rest.empty();) {
    const size_t size = std::min(kPiece, rest.size());
    reader.append(rest.first(size));
    rest = rest.subspan(size);
    while (const auto block = reader.next()) store.put(block->cid, block->data);
  }
  reader.finish();
  if (reader.roots()->size() != 1) throw ipcs::Error(ipcs::Code::kInvalidArgument, "not one root");
  DagReader file(store, reader.roots()->front());
  Bytes piece(kPiece);
  for (uint64_t at = 0; at < file.size();) {
    const size_t count = file.read_at(at, piece);
    at += std::fwrite(piece.data(), 1, count, stdout);
    if (std::ferror(stdout) != 0) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "write" && argc == 6) return write(argv[2], argv[3], argv[4], argv[5]);
    if (verb == "read" && argc == 3) return read(argv[2]);
    fmt::print(stderr, "usage: car_tool write PROFILE CHUNKER FILE CAR | read CAR\n");
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "car_tool: {}\n", e.what());
    return 1;
  }
}
