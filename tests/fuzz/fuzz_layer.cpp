// What stands before the archive reader: a layer's bytes are detected and decompressed to an end, or are an Error.
#include <vector>

#include "diff/decompressor.hpp"
#include "host/diff/memory_source.hpp"
#include "ipcs/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto compression = ipcs::diff::detect({data, std::min<size_t>(size, 10)});
  ipcs::diff::MemorySource source(bytes, size % 64 + 1);
  try {
    const auto decompressor = ipcs::diff::make_decompressor(compression, source);
    std::vector<uint8_t> out(64 * 1024);
    for (int i = 0; i < 256 && decompressor->read(out) == out.size(); ++i) {
    }
  } catch (const ipcs::Error&) {
  }
  return 0;
}
