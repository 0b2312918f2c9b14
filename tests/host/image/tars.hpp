// Layers to read.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace ipcs::test {

enum class Packing { kNone, kGzip, kZstd };

namespace detail {

inline std::string written(int format, Packing packing, const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out(1 << 20, '\0');
  size_t used = 0;
  archive* writer = archive_write_new();
  if (packing == Packing::kGzip) REQUIRE(archive_write_add_filter_gzip(writer) == ARCHIVE_OK);
  if (packing == Packing::kZstd) REQUIRE(archive_write_add_filter_zstd(writer) == ARCHIVE_OK);
  REQUIRE(archive_write_set_format(writer, format) == ARCHIVE_OK);
  archive_write_set_bytes_in_last_block(writer, 1);
  REQUIRE(archive_write_open_memory(writer, out.data(), out.size(), &used) == ARCHIVE_OK);
  for (const auto& [name, content] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
    REQUIRE(archive_write_data(writer, content.data(), content.size()) == static_cast<la_ssize_t>(content.size()));
    archive_entry_free(entry);
  }
  REQUIRE(archive_write_close(writer) == ARCHIVE_OK);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

}  // namespace detail

// A tar of regular files, name and content.
inline std::string tar(const std::vector<std::pair<std::string, std::string>>& files) {
  return detail::written(ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, Packing::kNone, files);
}

// `bytes`, compressed.
inline std::string packed(const std::string& bytes, Packing packing) {
  return detail::written(ARCHIVE_FORMAT_RAW, packing, {{"data", bytes}});
}

}  // namespace ipcs::test
