// One open ingest of a client: bytes come in, are hashed on the way, and become a blob.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "content/beside.hpp"
#include "content/content.hpp"

namespace ipcs::content {

// What an open ref is, shared by its Writer and by Content::abort and status.
//
// A new ingest lives in memory alone: most blobs are so small that their commit follows at once, and a row and a file that
// live for a millisecond would cost as much as the commit. It is stored when it grows past kInMemory or when its writer
// closes without a commit. A kill before that loses it, and its client begins again.
struct OpenIngest {
  static constexpr uint64_t kInMemory = 32 << 10;  // bytes

  std::mutex mutex;             // held while bytes are written, hashed, committed; guards what is not atomic
  catalog::Ingest row;          // fixed once the writer is open; its updated_ns is the time of opening
  std::vector<uint8_t> memory;  // the bytes held, when in_memory
  std::optional<Ingest> bytes;  // the bytes held, otherwise; empty once committed, aborted or closed
  oci::Hasher hasher;           // of the bytes held
  Beside beside;                // stores large messages while they are hashed
  bool aborted = false;
  // Read without the mutex: a status must not wait for a sync of the disk.
  std::atomic<bool> in_memory{false};
  std::atomic<bool> unrecorded{false};  // the catalog lacks the row, which may be read here then
  std::atomic<uint64_t> offset{0};     // bytes held
  std::atomic<int64_t> updated_ns{0};

  bool is_open() const noexcept { return in_memory || bytes; }
};

// Movable; one thread at a time. Going out of scope frees the ref and keeps the bytes for a later writer.
class Writer {
 public:
  Writer(Writer&&) noexcept = default;
  Writer& operator=(Writer&&) = delete;
  ~Writer();

  IngestStatus status() const;
  // Whether so many bytes more would stay in memory: writing them waits for nothing.
  bool keeps_in_memory(uint64_t size) const noexcept {
    return open_->in_memory && size <= OpenIngest::kInMemory && open_->offset + size <= OpenIngest::kInMemory;
  }
  // Digest of the bytes held so far.
  Digest digest() const;
  // Adds bytes at the end. kAborted after Content::abort; kResourceExhausted when there is no room. After an error
  // the writer is closed; what was kept of the bytes counts when the ref is opened again.
  void write(const Call& call, std::span<const uint8_t> bytes);
  // Drops all bytes held.
  void truncate(const Call& call);
  // Makes the bytes a blob, held by the client, with `labels` when given. `total`: expected size in bytes, 0: any.
  // `expected`: a digest, or empty for the digest of the bytes. Returns the blob's digest. The writer is closed
  // afterwards, whatever the result.
  // kFailedPrecondition: wrong size or digest, the ingest stays; kAlreadyExists: the blob is there, the client holds
  // it, the ingest is gone. A blob that is there under the digest of its root is no error: see README.md.
  Digest commit(const Call& call, uint64_t total, const std::string& expected, const Labels* labels);

 private:
  friend class Content;
  Writer(Content& content, Client client, std::shared_ptr<OpenIngest> open) noexcept
      : content_(&content), client_(std::move(client)), open_(std::move(open)) {}
  // Throws when the ingest's bytes are gone. The caller holds the mutex, as for those below.
  void require_open() const;
  // Gives the bytes that are in memory to the backend; after an Error nothing of them is left.
  void store(const Call& call);
  // Puts the row in the catalog. The ingest is gone when that fails.
  void record();
  // Takes the row out of the catalog, where it is in it.
  void drop_row();
  // Frees the ref; the bytes stay.
  void close() noexcept;
  Digest content_digest(const Call& call, oci::Algorithm algorithm) const;

  Content* content_;
  Client client_;
  std::shared_ptr<OpenIngest> open_;  // null when moved from
};

}  // namespace ipcs::content
