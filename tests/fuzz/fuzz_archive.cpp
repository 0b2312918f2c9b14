// The archive reader on anything: it reads to an end or throws an Error, and what it says of a file is consistent.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "diff/tar_reader.hpp"
#include "host/diff/memory_source.hpp"
#include "ipcs/error.hpp"

// Headers need right checksums, which a fuzzer does not find: they are put right where a header may begin.
static void mend(std::string& bytes) {
  for (size_t at = 0; at + 512 <= bytes.size(); at += 512) {
    if (bytes[at + 148] == 'k') continue;  // a way to keep a wrong one
    unsigned sum = 8 * ' ';
    bool zero = true;
    for (size_t i = 0; i < 512; ++i) {
      if (i < 148 || i >= 156) sum += static_cast<unsigned char>(bytes[at + i]);
      zero = zero && bytes[at + i] == 0;
    }
    if (zero) continue;
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    bytes.replace(at + 148, 7, text, 7);
    bytes[at + 155] = ' ';
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  mend(bytes);
  ipcs::diff::MemorySource source(bytes, data[0] + 1U);
  ipcs::diff::TarReader reader(source);
  try {
    while (const auto entry = reader.next()) {
      if (!entry->extents && !ipcs::diff::has_no_bytes(entry->type) && entry->type != ipcs::diff::kPaxGlobal &&
          reader.stored() != static_cast<uint64_t>(entry->size))
        std::abort();
      if (entry->extents) {
        int64_t end = 0;
        for (const auto& run : *entry->extents) {
          if (run.offset < end || run.length < 0 || run.offset + run.length > entry->size) std::abort();
          end = run.offset + run.length;
        }
      }
      if (entry->name.size() % 2 == 0) {
        while (!reader.read(1000).empty()) {
        }
      }
    }
  } catch (const ipcs::Error&) {
  }
  return 0;
}
