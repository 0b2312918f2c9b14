// The entries of a tar archive, one after the other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "diff/byte_source.hpp"
#include "diff/pax.hpp"
#include "diff/tar_entry.hpp"
#include "diff/tar_header.hpp"

namespace ipcs::diff {

// Reads what containerd's reader reads, with the same result: old, ustar, star, GNU and POSIX archives, also mixed
// ones. One thread.
class TarReader {
 public:
  // `source` outlives the reader.
  explicit TarReader(ByteSource& source) : source_(source) {}

  // The next entry, after whatever is left of the one before; nothing at the archive's end. An entry of type
  // kPaxGlobal has its name and no more. Throws Error kInvalidArgument, and what `source` throws.
  std::optional<TarEntry> next();

  // Up to `max` of the next bytes that the archive holds for the entry, valid until the next call; none when there
  // are no more. Of a sparse file they are those of its extents.
  std::span<const uint8_t> read(size_t max);

  // Bytes that read() still has.
  uint64_t stored() const noexcept { return stored_; }

 private:
  void skip_rest();
  // False where the archive ends.
  bool read_block(TarBlock& block);
  std::string read_special(const TarEntry& entry);
  void set_stored(const TarEntry& entry);
  void finish_entry(const TarBlock& block, const PaxRecords& records, TarEntry& entry);

  ByteSource& source_;
  uint64_t stored_ = 0;
  uint64_t padding_ = 0;
};

}  // namespace ipcs::diff
