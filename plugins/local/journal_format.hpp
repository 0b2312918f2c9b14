// The bytes of a journal file: a header page, then records. README.md of this room describes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layout.hpp"

namespace ipcs::local {

// What is durable is never written over by what comes behind it: after each sync the next record begins a page.
inline constexpr size_t kJournalPage = 4096;
inline constexpr size_t kRecordHead = 192;

enum class RecordKind : uint8_t {
  kBlob = 1,    // the bytes of a blob
  kRemoval = 2  // of a blob that has a record before this one
};

struct Record {
  RecordKind kind = RecordKind::kBlob;
  std::string digest;
  std::string key;                 // of the ingest that became the blob
  std::span<const uint8_t> bytes;  // into what was read
  bool sound = false;              // the bytes hash to the digest; true of a removal
};

// Room that a record of `bytes` bytes takes.
size_t record_size(size_t bytes) noexcept;

// Appends a record to `out`, which begins at a multiple of 8. `bytes` are those that `digest` names, at most 4 GiB;
// `key` is an ingest's, or empty.
void append_record(std::vector<uint8_t>& out, uint64_t epoch, uint64_t sequence, RecordKind kind,
                   const DigestParts& digest, std::string_view key, std::span<const uint8_t> bytes);

// Whether `bytes` hash to `digest`.
bool names(const DigestParts& digest, std::span<const uint8_t> bytes);

// The first page of a file of `size` bytes whose records count when they carry `epoch`.
std::vector<uint8_t> journal_header(uint64_t size, uint64_t epoch);

// The epoch in a file's header; nothing when there is no sound one for a file of `size` bytes. Throws Error
// kFailedPrecondition naming `path` when a newer ipcsd wrote it.
std::optional<uint64_t> read_journal_header(std::span<const uint8_t> page, uint64_t size, const std::string& path);

// Whether a file that begins with `pages`, two or more, has a record of the epoch.
bool has_records(std::span<const uint8_t> pages, uint64_t epoch) noexcept;

// Reads the records of one epoch in the order in which they were written. Whatever the bytes are, it reads nothing
// outside of them and ends: at the first place that holds no record of the epoch with the next number.
class RecordReader {
 public:
  // `file` is the file from its first byte on; it outlives the reader.
  RecordReader(std::span<const uint8_t> file, uint64_t epoch) noexcept : file_(file), epoch_(epoch) {}
  std::optional<Record> next();

 private:
  std::optional<Record> at(size_t offset);

  const std::span<const uint8_t> file_;
  const uint64_t epoch_;
  uint64_t sequence_ = 0;
  size_t offset_ = kJournalPage;
};

}  // namespace ipcs::local
