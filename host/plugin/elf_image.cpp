// Headers, segments, sections and the dynamic table of a shared object; relocations are in elf_relocations.cpp.
#include "plugin/elf_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::loader {
namespace {

constexpr uint64_t kMaxFile = uint64_t{1} << 30;     // bytes; a plugin with debug information has some 100 MB
constexpr uint64_t kMaxSymbols = uint64_t{1} << 20;  // exported ones; a plugin needs one
constexpr uint64_t kMaxDynamic = 4096;               // entries of the dynamic table; usually about 30
constexpr size_t kMaxName = 4096;                    // bytes of a symbol's or library's name

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
constexpr uint16_t kMachine = EM_RISCV;
#else
#error "the loader knows x86-64, AArch64 and 64-bit RISC-V"
#endif

std::string machine_name(uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "x86 (32-bit)";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "ARM (32-bit)";
    case EM_AARCH64:
      return "AArch64";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "PowerPC64";
    case EM_S390:
      return "S/390";
    default:
      return fmt::format("machine {}", machine);
  }
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(Code::kFailedPrecondition, what);
}

// A damaged object; truncation has a message of its own.
[[noreturn]] void damaged(const std::string& what) {
  refuse("is damaged: " + what + "; build or copy it again");
}

}  // namespace

ElfImage::ElfImage(const ByteSource& source) : source_(source) {
  if (source.size() == 0) refuse("is empty; build or copy the plugin again");
  if (source.size() > kMaxFile) refuse("is larger than 1 GiB, which no plugin is; move it out of the plugin directory");
  uint8_t magic[SELFMAG] = {};
  source.read(0, std::span(magic).first(std::min<uint64_t>(SELFMAG, source.size())));
  if (std::memcmp(magic, ELFMAG, SELFMAG) != 0)
    refuse("is not an ELF file; only shared objects belong into a plugin directory");
  require(0, 1, sizeof(Elf64_Ehdr), "the ELF header");
  const auto header = object<Elf64_Ehdr>(0);
  check_header(header);
  read_segments(header);
  check_sections(header);
  read_dynamic();
}

void ElfImage::check_header(const Elf64_Ehdr& header) const {
  const auto* ident = header.e_ident;
  const std::string mend = "; build it for " + machine_name(kMachine);
  if (ident[EI_CLASS] != ELFCLASS64) refuse("is not a 64-bit object" + mend);
  if (ident[EI_DATA] != ELFDATA2LSB) refuse("is not a little-endian object" + mend);
  if (header.e_machine != kMachine)
    refuse(fmt::format("is built for {}, this host is {}{}", machine_name(header.e_machine), machine_name(kMachine),
                       mend));
  if (ident[EI_VERSION] != EV_CURRENT || header.e_version != EV_CURRENT) damaged("its ELF version is not 1");
  if (header.e_type != ET_DYN) refuse("is not a shared object; link it with -shared");
}

void ElfImage::read_segments(const Elf64_Ehdr& header) {
  if (header.e_phentsize != sizeof(Elf64_Phdr)) damaged("its program headers have a wrong size");
  require(header.e_phoff, header.e_phnum, sizeof(Elf64_Phdr), "the program header table");
  uint64_t last_end = 0;
  for (uint16_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = object<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type != PT_NULL) require(segment.p_offset, segment.p_filesz, 1, "a segment");
    if (segment.p_type == PT_DYNAMIC) dynamic_segment_ = segment;
    if (segment.p_type != PT_LOAD) continue;
    const uint64_t end = segment.p_vaddr + segment.p_memsz;
    if (segment.p_filesz > segment.p_memsz || end < segment.p_vaddr || segment.p_vaddr < last_end)
      damaged("its loaded segments overlap or are out of order");
    last_end = end;
    loads_.push_back(segment);
  }
  if (loads_.empty()) damaged("it has no loaded segment");
  if (!dynamic_segment_) refuse("has no dynamic table; link it with -shared");
}

// The loader needs no sections, but their table is the last thing in most objects: one that lies within the file proves
// that the file is whole.
void ElfImage::check_sections(const Elf64_Ehdr& header) const {
  if (header.e_shoff == 0) return;
  if (header.e_shentsize != sizeof(Elf64_Shdr)) damaged("its section headers have a wrong size");
  require(header.e_shoff, 1, sizeof(Elf64_Shdr), "the section table");
  // More than 65,279 sections: the number is in the first one.
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : object<Elf64_Shdr>(header.e_shoff).sh_size;
  require(header.e_shoff, count, sizeof(Elf64_Shdr), "the section table");
  for (uint64_t i = 0; i < count; ++i) {
    const auto section = object<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL)
      require(section.sh_offset, section.sh_size, 1, "a section");
  }
}

void ElfImage::read_dynamic() {
  const uint64_t count = std::min(dynamic_segment_->p_filesz / sizeof(Elf64_Dyn), kMaxDynamic);
  if (!in_file(dynamic_segment_->p_vaddr, count * sizeof(Elf64_Dyn))) damaged("its dynamic table is not loaded");
  uint64_t symbol_entry = sizeof(Elf64_Sym), rela_entry = sizeof(Elf64_Rela), flags = 0;
  std::vector<uint64_t> needed;
  for (uint64_t i = 0; i < count; ++i) {
    const auto entry = object_at<Elf64_Dyn>(dynamic_segment_->p_vaddr + i * sizeof(Elf64_Dyn), "dynamic table");
    const uint64_t value = entry.d_un.d_val;
    if (entry.d_tag == DT_NULL) break;
    switch (entry.d_tag) {
      case DT_NEEDED:
        needed.push_back(value);
        break;
      case DT_STRTAB:
        dynamic_.strtab = value;
        break;
      case DT_STRSZ:
        dynamic_.strtab_size = value;
        break;
      case DT_SYMTAB:
        dynamic_.symtab = value;
        break;
      case DT_SYMENT:
        symbol_entry = value;
        break;
      case DT_HASH:
        dynamic_.hash = value;
        break;
      case DT_GNU_HASH:
        dynamic_.gnu_hash = value;
        break;
      case DT_RELA:
        dynamic_.rela = value;
        break;
      case DT_RELASZ:
        dynamic_.rela_size = value;
        break;
      case DT_RELAENT:
        rela_entry = value;
        break;
      case DT_RELR:
        dynamic_.relr = value;
        break;
      case DT_RELRSZ:
        dynamic_.relr_size = value;
        break;
      case DT_FLAGS_1:
        flags = value;
        break;
      default:
        break;
    }
  }
  if ((flags & DF_1_PIE) != 0) refuse("is a program, not a shared object; link it with -shared");
  if (symbol_entry != sizeof(Elf64_Sym) || rela_entry != sizeof(Elf64_Rela))
    damaged("its dynamic table has entries of a wrong size");
  if (!in_file(dynamic_.strtab, dynamic_.strtab_size)) damaged("its string table is not loaded");
  if (!in_file(dynamic_.rela, dynamic_.rela_size) || !in_file(dynamic_.relr, dynamic_.relr_size))
    damaged("its relocations are not loaded");
  for (const uint64_t index : needed) needed_.push_back(table_text(index, "library"));
}

std::vector<ElfSymbol> ElfImage::symbols(std::string_view prefix) const {
  std::vector<ElfSymbol> found;
  const uint64_t count = symbol_count();
  if (count > kMaxSymbols) refuse("exports more than a million symbols; export only " IPCS_PLUGIN_SYMBOL);
  if (!in_file(dynamic_.symtab, count * sizeof(Elf64_Sym))) damaged("its symbol table is not loaded");
  std::vector<Elf64_Sym> symbols(count);
  read(dynamic_.symtab, {reinterpret_cast<uint8_t*>(symbols.data()), count * sizeof(Elf64_Sym)});
  for (const Elf64_Sym& symbol : symbols) {
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= dynamic_.strtab_size) continue;
    // Reading the prefix first keeps this to a few bytes a symbol.
    if (dynamic_.strtab_size - symbol.st_name < prefix.size()) continue;
    std::string start(prefix.size(), '\0');
    read(dynamic_.strtab + symbol.st_name, {reinterpret_cast<uint8_t*>(start.data()), start.size()});
    if (start != prefix) continue;
    found.push_back({table_text(symbol.st_name, "symbol"), symbol.st_value, symbol.st_size,
                     static_cast<uint8_t>(ELF64_ST_TYPE(symbol.st_info))});
  }
  return found;
}

// The dynamic table does not say how many symbols there are; the hash tables do.
uint64_t ElfImage::symbol_count() const {
  if (dynamic_.hash != 0) return object_at<uint32_t>(dynamic_.hash + sizeof(uint32_t), "hash table");
  if (dynamic_.gnu_hash != 0) return gnu_symbol_count();
  return 0;
}

// Symbols are sorted by bucket, so the last one is at the end of the chain of the bucket that starts last.
uint64_t ElfImage::gnu_symbol_count() const {
  struct Header {
    uint32_t buckets, first_symbol, bloom_words, bloom_shift;
  };
  const auto header = object_at<Header>(dynamic_.gnu_hash, "hash table");
  const uint64_t buckets = dynamic_.gnu_hash + sizeof(Header) + uint64_t{header.bloom_words} * sizeof(uint64_t);
  if (!in_file(buckets, uint64_t{header.buckets} * sizeof(uint32_t))) damaged("its hash table is not loaded");
  std::vector<uint32_t> firsts(header.buckets);
  read(buckets, {reinterpret_cast<uint8_t*>(firsts.data()), firsts.size() * sizeof(uint32_t)});
  const uint32_t last_chain = firsts.empty() ? 0 : *std::max_element(firsts.begin(), firsts.end());
  if (last_chain < header.first_symbol) return header.first_symbol;  // all of them are imports
  const uint64_t chains = buckets + uint64_t{header.buckets} * sizeof(uint32_t);
  for (uint64_t index = last_chain; index < kMaxSymbols; ++index) {
    const uint64_t at = chains + (index - header.first_symbol) * sizeof(uint32_t);
    if ((object_at<uint32_t>(at, "hash table") & 1) != 0) return index + 1;
  }
  return kMaxSymbols + 1;
}

void ElfImage::read(uint64_t address, std::span<uint8_t> out) const {
  const auto offset = offset_of(address, out.size());
  if (!offset) damaged(fmt::format("address {:#x} is not in the file", address));
  source_.read(*offset, out);
}

std::optional<std::string> ElfImage::text(uint64_t address, size_t limit) const {
  std::string text;
  char chunk[64];
  while (text.size() <= limit) {
    size_t size = sizeof chunk;
    while (size > 0 && !in_file(address, size)) size /= 2;  // near the end of a segment
    if (size == 0) return std::nullopt;
    read(address, {reinterpret_cast<uint8_t*>(chunk), size});
    const size_t length = ::strnlen(chunk, size);
    text.append(chunk, length);
    if (length < size) return text.size() <= limit ? std::optional(text) : std::nullopt;
    address += size;
  }
  return std::nullopt;
}

std::string ElfImage::table_text(uint64_t index, const char* of) const {
  if (index < dynamic_.strtab_size) {
    if (auto found = text(dynamic_.strtab + index, std::min<uint64_t>(kMaxName, dynamic_.strtab_size - index)))
      return *found;
  }
  damaged(std::string("the name of a ") + of + " is not in its string table");
}

std::optional<uint64_t> ElfImage::offset_of(uint64_t address, uint64_t size) const noexcept {
  if (size == 0) return 0;
  for (const Elf64_Phdr& load : loads_) {
    if (address < load.p_vaddr || address - load.p_vaddr >= load.p_filesz) continue;
    const uint64_t skip = address - load.p_vaddr;
    if (size <= load.p_filesz - skip) return load.p_offset + skip;
  }
  return std::nullopt;
}

void ElfImage::require(uint64_t offset, uint64_t count, uint64_t entry_size, const char* what) const {
  const uint64_t room = source_.size() > offset ? source_.size() - offset : 0;
  if (count == 0 || count <= room / entry_size) return;
  refuse(fmt::format("is truncated: {} at byte {} does not fit into its {} bytes; build or copy it again", what, offset,
                     source_.size()));
}

template <class T>
T ElfImage::object(uint64_t offset) const {
  T value;
  source_.read(offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

template <class T>
T ElfImage::object_at(uint64_t address, const char* what) const {
  const auto offset = offset_of(address, sizeof(T));
  if (!offset) damaged(std::string("its ") + what + " is not loaded");
  return object<T>(*offset);
}

}  // namespace ipcs::loader
