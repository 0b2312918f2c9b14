// Where the pointers of an object's constant data will point, read from its relocations.
#include <algorithm>
#include <cstring>

#include "plugin/elf_image.hpp"

namespace ipcs::loader {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kRelative = R_X86_64_RELATIVE, kAbsolute = R_X86_64_64;
#elif defined(__aarch64__)
constexpr uint32_t kRelative = R_AARCH64_RELATIVE, kAbsolute = R_AARCH64_ABS64;
#else
constexpr uint32_t kRelative = R_RISCV_RELATIVE, kAbsolute = R_RISCV_64;
#endif

constexpr uint64_t kBatch = 2048;  // entries read at a time

// Calls `each` with every entry of a table that lies in the file.
template <class Entry, class Each>
void for_each_entry(const ElfImage& image, uint64_t address, uint64_t bytes, Each&& each) {
  std::vector<Entry> batch;
  for (uint64_t left = bytes / sizeof(Entry); left > 0; left -= batch.size()) {
    batch.resize(std::min(left, kBatch));
    image.read(address, {reinterpret_cast<uint8_t*>(batch.data()), batch.size() * sizeof(Entry)});
    std::for_each(batch.begin(), batch.end(), each);
    address += batch.size() * sizeof(Entry);
  }
}

}  // namespace

std::map<uint64_t, uint64_t> ElfImage::pointers(std::span<const uint64_t> slots) const {
  std::map<uint64_t, uint64_t> found;
  follow_relr(slots, found);
  follow_rela(slots, found);
  return found;
}

void ElfImage::follow_rela(std::span<const uint64_t> slots, std::map<uint64_t, uint64_t>& found) const {
  for_each_entry<Elf64_Rela>(*this, dynamic_.rela, dynamic_.rela_size, [&](const Elf64_Rela& entry) {
    if (std::find(slots.begin(), slots.end(), entry.r_offset) == slots.end()) return;
    const auto addend = static_cast<uint64_t>(entry.r_addend);
    const uint64_t type = ELF64_R_TYPE(entry.r_info);
    if (type == kRelative) found[entry.r_offset] = addend;
    if (type != kAbsolute) return;
    const uint64_t at = dynamic_.symtab + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym);
    Elf64_Sym symbol;
    if (!in_file(at, sizeof symbol)) return;
    read(at, {reinterpret_cast<uint8_t*>(&symbol), sizeof symbol});
    if (symbol.st_shndx != SHN_UNDEF) found[entry.r_offset] = symbol.st_value + addend;
  });
}

// The packed form of relative relocations: an even word is an address to relocate, an odd one a bitmap of the 63 words
// that follow. The pointer before relocation stands in the slot itself.
void ElfImage::follow_relr(std::span<const uint64_t> slots, std::map<uint64_t, uint64_t>& found) const {
  constexpr uint64_t kWord = sizeof(uint64_t);
  const auto visit = [&](uint64_t slot) {
    if (std::find(slots.begin(), slots.end(), slot) == slots.end() || !in_file(slot, kWord)) return;
    uint64_t value = 0;
    read(slot, {reinterpret_cast<uint8_t*>(&value), kWord});
    found[slot] = value;
  };
  uint64_t next = 0;
  for_each_entry<uint64_t>(*this, dynamic_.relr, dynamic_.relr_size, [&](uint64_t entry) {
    if ((entry & 1) == 0) {
      visit(entry);
      next = entry + kWord;
      return;
    }
    for (uint64_t bits = entry >> 1, slot = next; bits != 0; bits >>= 1, slot += kWord)
      if ((bits & 1) != 0) visit(slot);
    next += 63 * kWord;
  });
}

}  // namespace ipcs::loader
