// One open ingest of a client: bytes come in, are hashed on the way, and become a blob.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "content/content.hpp"

namespace ipcs::content {

// What an open ref is, shared by its Writer and by Content::abort and status.
struct OpenIngest {
  std::mutex mutex;             // held while bytes are written, hashed, committed; guards what is not atomic
  catalog::Ingest row;          // fixed once the writer is open; its updated_ns is the time of opening
  std::optional<Ingest> bytes;  // empty once committed, aborted or closed
  oci::Hasher hasher;           // of the bytes held
  bool aborted = false;
  // Read without the mutex: a status must not wait for a sync of the disk.
  std::atomic<uint64_t> offset{0};  // bytes held
  std::atomic<int64_t> updated_ns{0};
};

// Movable; one thread at a time. Going out of scope frees the ref and keeps the bytes for a later writer.
class Writer {
 public:
  Writer(Writer&&) noexcept = default;
  Writer& operator=(Writer&&) = delete;
  ~Writer();

  IngestStatus status() const;
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
  // it, the ingest is gone.
  Digest commit(const Call& call, uint64_t total, const std::string& expected, const Labels* labels);

 private:
  friend class Content;
  Writer(Content& content, Client client, std::shared_ptr<OpenIngest> open) noexcept
      : content_(&content), client_(std::move(client)), open_(std::move(open)) {}
  // The ingest's bytes; throws when they are gone. The caller holds the mutex.
  Ingest& bytes() const;
  // Frees the ref; the bytes stay. The caller holds the mutex.
  void close() noexcept;
  Digest content_digest(const Call& call, oci::Algorithm algorithm) const;

  Content* content_;
  Client client_;
  std::shared_ptr<OpenIngest> open_;  // null when moved from
};

}  // namespace ipcs::content
