// Extended headers of POSIX archives: records "<length> <key>=<value>\n".
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "diff/tar_entry.hpp"

namespace ipcs::diff {

using PaxRecords = std::map<std::string, std::string, std::less<>>;

// The records of one header; the last of a key wins. The sparse map of GNU's format 0.0, which repeats keys, is
// turned into that of 0.1. Throws Error kInvalidArgument.
PaxRecords parse_pax(std::string_view text);

// Lays records over what the block said; empty values change nothing but extended attributes. Throws Error
// kInvalidArgument.
void merge_pax(const PaxRecords& records, TarEntry& entry);

}  // namespace ipcs::diff
