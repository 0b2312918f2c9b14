// The bytes of one ingest: in a file as they came, and in Kubo alone once they are there for certain.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "index.hpp"
#include "kubo/rpc.hpp"
#include "staged_file.hpp"

namespace ipcs::ipfs_http {

// A long ingest would otherwise be stored twice while it arrives. So what Kubo has under a guard, which the index has noted for this ingest, is punched out of the file; from then on it is read from Kubo, leaf
// by leaf, each verified. The last kKept bytes and less stay in the file.
//
// One thread writes and truncates; read_at() and given() may run beside it on others.
class StagedBytes {
 public:
  static constexpr uint64_t kKept = 32 << 20;  // bytes that Kubo has and the file keeps: they are punched out together

  // The ingest `key` as a former one left it. The index and `rpc` outlive it. Throws Error as they do.
  StagedBytes(std::string key, std::shared_ptr<StagedFile> file, Index& index, kubo::Rpc& rpc);
  StagedBytes(const StagedBytes&) = delete;
  StagedBytes& operator=(const StagedBytes&) = delete;

  uint64_t size() const { return file_->size(); }
  // Fills `out` from `offset` on. Less where the bytes end, and where Kubo has lost what it held: what lies behind is of
  // no use then. Throws Error as StagedFile and Rpc::block_get do.
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out);
  void write_at(uint64_t offset, std::span<const uint8_t> bytes) { file_->write_at(offset, bytes); }
  // Keeps the first `size` bytes. No upload may be under way.
  void truncate(const plugin::Call& call, uint64_t size);
  // Kubo has these leaves, of kLeaf bytes each, under a guard that the index knows as a pin in use. From now on the guard
  // may be this ingest's, until that ends or is truncated.
  void given(IngestPart part) noexcept;
  // The ingest is no more: nobody needs its guards.
  void ended();

 private:
  const IngestPart* part_at(uint64_t offset) const;
  // The leaf that holds the byte at `offset`; nothing when Kubo hasn't got it any more.
  std::optional<ipld::Bytes> leaf(const plugin::Call& call, const ipld::Cid& cid);
  bool overlaps(const IngestPart& part) const;

  const std::string key_;
  const std::shared_ptr<StagedFile> file_;
  Index& index_;
  kubo::Rpc& rpc_;

  std::shared_mutex mutex_;  // shared while the file is read: nothing is punched out under a reader
  std::map<uint64_t, IngestPart> parts_;  // by offset: what the file lacks

  std::mutex given_mutex_;
  std::vector<IngestPart> given_;  // not noted yet
  uint64_t given_bytes_ = 0;
  bool punches_ = true;            // false after a failure: the file keeps what it has
};

}  // namespace ipcs::ipfs_http
