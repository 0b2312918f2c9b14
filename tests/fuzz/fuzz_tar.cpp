// Fuzzes the readers of tars and of zstd frames: 't' and the checksums of all headers put right, 'z' as it is.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "ipcs/error.hpp"
#include "ipld/chunker.hpp"
#include "ipld/tar_reader.hpp"

namespace {

using namespace ipcs::ipld;

void require(bool condition) {
  if (!condition) std::abort();
}

// A fuzzer finds no sums: every block gets that of a header.
Bytes with_sums(BytesView bytes) {
  Bytes tar(bytes.begin(), bytes.end());
  for (size_t at = 0; at + kTarBlock <= tar.size(); at += kTarBlock) {
    const auto block = std::span(tar).subspan(at, kTarBlock);
    if (std::all_of(block.begin(), block.end(), [](uint8_t byte) { return byte == 0; })) continue;
    std::fill_n(block.begin() + 148, 8, ' ');
    unsigned sum = 0;
    for (const uint8_t byte : block) sum += byte;
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    std::copy_n(text, 7, block.begin() + 148);
  }
  return tar;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool tar = data[0] == 't';
  const Bytes bytes = tar ? with_sums({data + 1, size - 1}) : Bytes(data + 1, data + size);
  const auto chunker = make_chunker(tar ? "tar" : "zstd-frames");
  try {
    for (BytesView rest = bytes; !rest.empty();) {
      const size_t cut = chunker->cut(rest.first(std::min(rest.size(), chunker->max_size())));
      require(cut > 0 && cut <= rest.size());
      rest = rest.subspan(cut);
    }
  } catch (const ipcs::Error& error) {
    require(error.code() == ipcs::Code::kInvalidArgument);
    require(std::string_view(error.what()).size() < 200);
  }
  if (tar) {
    try {
      // With fewer bytes there is no entry yet, or the same one.
      const auto whole = read_tar_entry(bytes, false, 0);
      for (size_t less : {bytes.size() / 2, bytes.size() / 4}) {
        const auto part = read_tar_entry(BytesView(bytes).first(less), false, 0);
        require(!part || (whole && part->head == whole->head && part->data == whole->data));
      }
    } catch (const ipcs::Error&) {
    }
  }
  return 0;
}
