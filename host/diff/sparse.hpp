// Maps of sparse files: GNU's old format and its formats 0.0, 0.1 and 1.0 in extended headers.
#pragma once

#include <optional>
#include <vector>

#include "diff/byte_source.hpp"
#include "diff/pax.hpp"
#include "diff/tar_entry.hpp"
#include "diff/tar_header.hpp"

namespace ipcs::diff {

using Extents = std::vector<Extent>;

// The map in a block of GNU's old format, and in those that follow it in `source`; sets the entry's size. Throws Error
// kInvalidArgument.
Extents read_old_gnu_map(ByteSource& source, TarBlock block, TarEntry& entry);

// Where the records say that the file is sparse: its map, after name and size of the entry have been set. That of
// format 1.0 stands before the bytes of the file; what is read of them is taken off `stored`. Throws Error
// kInvalidArgument.
std::optional<Extents> read_pax_map(ByteSource& source, const PaxRecords& records, TarEntry& entry, uint64_t& stored);

// Throws Error kInvalidArgument unless the runs are in order, apart, and inside a file of `size` bytes.
void check_map(const Extents& map, int64_t size);

}  // namespace ipcs::diff
