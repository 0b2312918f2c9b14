// What an archive says of one file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ipcs::diff {

// Seconds since 1970 UTC and nanoseconds after them, 0 to 999,999,999.
struct Time {
  int64_t seconds = 0;
  int64_t nanoseconds = 0;

  friend auto operator<=>(const Time&, const Time&) = default;
};

// A run of bytes that a sparse file has; what lies between runs reads as zeros.
struct Extent {
  int64_t offset = 0;
  int64_t length = 0;
};

// The types that an archive's entry can have, by their letter.
enum TarType : char {
  kRegular = '0',
  kHardLink = '1',
  kSymlink = '2',
  kCharDevice = '3',
  kBlockDevice = '4',
  kDirectory = '5',
  kFifo = '6',
  kGnuSparse = 'S',
  kGnuLongName = 'L',
  kGnuLongLink = 'K',
  kPaxLocal = 'x',
  kPaxGlobal = 'g',
};

// A value. Numbers are as the archive has them: nobody has looked whether they make sense.
struct TarEntry {
  char type = kRegular;
  std::string name;
  std::string link;  // of links: where they point
  int64_t size = 0;  // of a sparse file with its holes
  int64_t mode = 0;
  int64_t uid = 0;
  int64_t gid = 0;
  int64_t device_major = 0;
  int64_t device_minor = 0;
  Time modified;
  std::optional<Time> accessed;
  std::vector<std::pair<std::string, std::string>> xattrs;  // name, value
  std::optional<std::vector<Extent>> extents;               // of a sparse file
};

// Whether no bytes follow such an entry, whatever it says of its size.
inline bool has_no_bytes(char type) {
  return type == kHardLink || type == kSymlink || type == kCharDevice || type == kBlockDevice || type == kDirectory ||
         type == kFifo;
}

}  // namespace ipcs::diff
