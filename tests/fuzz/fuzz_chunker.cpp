// Fuzzes names of chunkers and the cutting: "NAME\0BYTES" is cut, or refused, the same whatever the pieces.
#include <algorithm>
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/dag_builder.hpp"

namespace {

using namespace ipcs::ipld;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Leaves {
  std::vector<Bytes> chunks;
  std::string refused;  // why, of bytes that the chunker does not take: "tar" and "zstd-frames" cut nothing else
  bool operator==(const Leaves&) const = default;
};

Leaves leaves(const std::string& chunker, BytesView bytes, size_t piece, DagBuilder::Digest digest) {
  Profile profile = named_profile("cid-version=1");
  profile.chunker = chunker;
  std::vector<Bytes> chunks;
  BlockCallback sink([&](const Cid& cid, BytesView block) {
    require(cid.hash().matches(block));
    if (cid.codec() == Codec::kRaw) chunks.emplace_back(block.begin(), block.end());
  });
  DagBuilder builder(profile, sink, digest);
  try {
    for (BytesView rest = bytes; !rest.empty(); rest = rest.subspan(std::min(piece, rest.size())))
      builder.append(rest.first(std::min(piece, rest.size())));
    require(builder.finish().file_size == bytes.size());
  } catch (const ipcs::Error& error) {
    require(chunker == "tar" || chunker == "zstd-frames");
    require(error.code() == ipcs::Code::kInvalidArgument);
    return {{}, error.what()};
  }
  if (digest == DagBuilder::Digest::kSha256) require(builder.digest() == Sha256::of(bytes));
  return {chunks, ""};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = as_text({data, size});
  const std::string name(input.substr(0, input.find('\0')));
  try {
    make_chunker(name);
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kInvalidArgument || error.code() == ipcs::Code::kUnimplemented);
    require(std::string_view(error.what()).size() < 400);
    return 0;
  }
  const BytesView bytes = BytesView(data, size).subspan(std::min(size, name.size() + 1));
  const Leaves whole = leaves(name, bytes, size + 1, DagBuilder::Digest::kNo);
  require(whole == leaves(name, bytes, 7, DagBuilder::Digest::kSha256));
  if (!whole.refused.empty()) return 0;
  Bytes joined;
  for (const Bytes& chunk : whole.chunks) joined.insert(joined.end(), chunk.begin(), chunk.end());
  require(std::equal(joined.begin(), joined.end(), bytes.begin(), bytes.end()));
  return 0;
}
