// Fuzzes the ELF peek: whatever the bytes, it answers or throws Error, and reads nothing outside them.
#include <cstddef>
#include <cstdint>

#include "ipcs/error.hpp"
#include "plugin/elf_peek.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    ipcs::loader::peek(ipcs::loader::MemorySource({data, size}), "input");
  } catch (const ipcs::Error&) {
    // The only exception that peek() promises.
  }
  return 0;
}
