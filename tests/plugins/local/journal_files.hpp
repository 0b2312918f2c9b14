// What a journal leaves on a disk.
#pragma once

#include <string>

#include "fake_store.hpp"
#include "journal.hpp"

namespace ipcs::local::test {

inline Bytes bytes_of(FakeDisk& disk, const std::string& path) {
  const auto file = FakeFileSystem(disk).open(path, OpenMode::kRead);
  if (!file) return {};
  Bytes bytes(file->info().size);
  file->read_at(0, bytes);
  return bytes;
}
inline std::string blob_file(const std::string& digest) {
  return blob_path(split_digest(digest));
}
inline Unfinished unfinished(FakeDisk& disk) {
  FakeFileSystem file_system(disk);
  return read_unfinished(file_system);
}

}  // namespace ipcs::local::test
