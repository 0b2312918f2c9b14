// Where the entries of a tar begin and end. It reads no more than that needs, and the tar as Go's archive/tar does: that is what
// containerd unpacks with.
#pragma once

#include <optional>
#include <string_view>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

inline constexpr size_t kTarBlock = 512;
inline constexpr size_t kMaxTarExtension = 1 << 20;  // bytes of one long name or of one PAX header, as in Go

// An entry at the front of some bytes: ustar, V7, GNU or PAX.
struct TarEntry {
  size_t head = 0;    // bytes of its header, and of long names, PAX headers and sparse maps that belong to it
  uint64_t data = 0;  // bytes of its data, as they stand in the tar
  size_t padding = 0;  // behind these
  std::string_view path;  // in the bytes that were read; with a ustar prefix, what follows the prefix
  std::string_view prefix;
  bool end = false;  // it is no entry, but the end of the archive
};

// Reads the entry at the front of `bytes`. `offset` is where that is in the tar, for messages. Nothing: more bytes are needed,
// which can't be when `whole`, that is when the tar ends with them. Only the head has to be there. Throws Error
// kInvalidArgument, one line, for what is no tar, and for a head in which the tar ends.
std::optional<TarEntry> read_tar_entry(BytesView bytes, bool whole, uint64_t offset);

}  // namespace ipcs::ipld
