// Reads a 64-bit little-endian ELF shared object without mapping or running it: every offset is checked first.
#pragma once

#include <elf.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::loader {

// Where an image's bytes come from.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  // Fills `out` from byte `offset` on; the caller has made sure that offset + out.size() <= size(). Throws Error when
  // the bytes can't be had after all.
  virtual void read(uint64_t offset, std::span<uint8_t> out) const = 0;
};

// Bytes in memory, which must outlive the source.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  void read(uint64_t offset, std::span<uint8_t> out) const override;

 private:
  std::span<const uint8_t> bytes_;
};

// A regular file, read with pread: a file that is cut short meanwhile is an Error, never a SIGBUS.
class FileSource : public ByteSource {
 public:
  // Throws Error naming the file: kNotFound, kPermissionDenied, kFailedPrecondition when it is no regular file.
  explicit FileSource(const std::string& path);
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  ~FileSource() override;
  uint64_t size() const override { return size_; }
  void read(uint64_t offset, std::span<uint8_t> out) const override;

 private:
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A symbol of the dynamic symbol table that the object defines.
struct ElfSymbol {
  std::string name;
  uint64_t address = 0;  // before relocation
  uint64_t size = 0;     // bytes
  uint8_t type = 0;      // STT_*
};

// A shared object for this machine, as a loader would see it: segments and the dynamic table. Sections are only checked
// to lie within the file, so stripped objects do as well. Everything is read from the source on demand; one thread.
class ElfImage {
 public:
  // Checks the headers, that all segments and sections lie within the file, and reads the dynamic table. Throws Error
  // kFailedPrecondition saying what is wrong and the mend, without the file's name. `source` must outlive the image.
  explicit ElfImage(const ByteSource& source);

  // Names of the libraries that the object asks for (DT_NEEDED).
  const std::vector<std::string>& needed() const noexcept { return needed_; }

  // The defined symbols whose names start with `prefix`. Throws Error as the constructor does.
  std::vector<ElfSymbol> symbols(std::string_view prefix) const;

  // Whether the `size` bytes at `address` come from the file (and not from zero-filled memory or nowhere).
  bool in_file(uint64_t address, uint64_t size) const noexcept { return offset_of(address, size).has_value(); }
  // Reads bytes at an address; in_file() must hold.
  void read(uint64_t address, std::span<uint8_t> out) const;

  // Follows relocations: the addresses that the pointers at `slots` will hold. A slot that no relocation of a known
  // kind fills, or that points to another object, is missing in the answer.
  std::map<uint64_t, uint64_t> pointers(std::span<const uint64_t> slots) const;

  // The NUL-terminated text at an address, if it lies in the file and has at most `limit` bytes.
  std::optional<std::string> text(uint64_t address, size_t limit) const;

 private:
  struct Dynamic {
    uint64_t strtab = 0, strtab_size = 0, symtab = 0, hash = 0, gnu_hash = 0;
    uint64_t rela = 0, rela_size = 0, relr = 0, relr_size = 0;
  };

  void check_header(const Elf64_Ehdr& header) const;
  void read_segments(const Elf64_Ehdr& header);
  void check_sections(const Elf64_Ehdr& header) const;
  void read_dynamic();
  uint64_t symbol_count() const;
  uint64_t gnu_symbol_count() const;
  void follow_rela(std::span<const uint64_t> slots, std::map<uint64_t, uint64_t>& found) const;
  void follow_relr(std::span<const uint64_t> slots, std::map<uint64_t, uint64_t>& found) const;
  std::string table_text(uint64_t index, const char* of) const;

  std::optional<uint64_t> offset_of(uint64_t address, uint64_t size) const noexcept;
  void require(uint64_t offset, uint64_t count, uint64_t entry_size, const char* what) const;
  template <class T>
  T object(uint64_t offset) const;
  template <class T>
  T object_at(uint64_t address, const char* what) const;

  const ByteSource& source_;
  std::vector<Elf64_Phdr> loads_;
  std::optional<Elf64_Phdr> dynamic_segment_;
  Dynamic dynamic_;
  std::vector<std::string> needed_;
};

}  // namespace ipcs::loader
