// Bytes that are arriving: one file in the state directory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ipcs::ipfs_http {

// An open file. read_at() may run on many threads beside one that writes. Functions throw Error naming the file:
// kResourceExhausted when there is no room.
class StagedFile {
 public:
  // Null when there is none and `create` is false.
  static std::shared_ptr<StagedFile> open(const std::string& path, bool create);
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  ~StagedFile();

  uint64_t size() const;
  // Fills `out` from `offset` on; less only where the file ends.
  size_t read_at(uint64_t offset, std::span<uint8_t> out) const;
  void write_at(uint64_t offset, std::span<const uint8_t> bytes);
  void truncate(uint64_t size);
  // Frees the room of bytes, which read as zeros from then on. False: the file system can't.
  bool punch(uint64_t offset, uint64_t size) noexcept;

 private:
  StagedFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  const int fd_;
  const std::string path_;
};

}  // namespace ipcs::ipfs_http
