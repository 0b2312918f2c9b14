// Bytes that are still arriving: staged, on their way to Kubo at the same time.
#pragma once

#include <memory>
#include <string>

#include "kubo_store.hpp"

namespace ipcs::ipfs_http {

// An open ingest. One thread at a time; the store outlives it.
class KuboIngest final : public plugin::Ingest {
 public:
  KuboIngest(KuboStore& store, std::string key, std::shared_ptr<StagedBytes> bytes);
  ~KuboIngest() override;

  uint64_t size() override { return size_; }
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) override;
  void append(const plugin::Call& call, std::span<const uint8_t> bytes) override;
  void truncate(const plugin::Call& call, uint64_t size) override;
  void commit(const plugin::Call& call, uint64_t size, std::string_view digest, std::string_view content_digest) override;

 private:
  void require_open() const;
  void end_upload() noexcept;
  // The root of a DAG that holds the bytes and that the digest names. Throws Error kFailedPrecondition.
  ipld::Cid root_for(const plugin::Call& call, std::string_view digest, bool names_bytes);
  ipld::Cid foreign_root(const plugin::Call& call, std::string_view digest);
  void drop();

  KuboStore& store_;
  const std::string key_;
  std::shared_ptr<StagedBytes> bytes_;
  uint64_t size_;
  std::shared_ptr<Upload> upload_;  // made with the first byte that is to travel
  bool gone_ = false;               // committed, or the blob was there
};

}  // namespace ipcs::ipfs_http
