// Bytes that are still arriving: one file of the store.
#pragma once

#include <memory>
#include <string>

#include "file_system.hpp"
#include "local_store.hpp"

namespace ipcs::local {

// An open ingest. One thread at a time; the store outlives it.
class LocalIngest final : public plugin::Ingest {
 public:
  // `file` holds `size` bytes, which the store has counted.
  LocalIngest(LocalStore& store, std::string key, std::unique_ptr<File> file, uint64_t size)
      : store_(store), key_(std::move(key)), file_(std::move(file)), size_(size), written_back_(size) {}

  uint64_t size() override { return size_; }
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) override;
  void append(const plugin::Call& call, std::span<const uint8_t> bytes) override;
  void truncate(const plugin::Call& call, uint64_t size) override;
  void commit(const plugin::Call& call, uint64_t size, std::string_view digest,
              std::string_view content_digest) override;

 private:
  void require_open() const;
  void cut_to_size() noexcept;
  void sync_data();

  LocalStore& store_;
  const std::string key_;
  const std::unique_ptr<File> file_;
  uint64_t size_;
  uint64_t written_back_;  // up to here the kernel was told to write
  bool ragged_ = false;    // the file may be longer than size_
  bool gone_ = false;      // committed, or the blob was there
};

}  // namespace ipcs::local
