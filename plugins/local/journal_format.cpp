// Encodes and decodes journal files; every number is little endian.
#define OPENSSL_SUPPRESS_DEPRECATED  // the one-shot SHA256() looks the algorithm up among EVP's providers, each time
#include "journal_format.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "ipcs/error.hpp"

namespace ipcs::local {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr char kFileMagic[] = "IPCSJRNL";
constexpr char kRecordMagic[] = "IPJR";
constexpr uint32_t kVersion = 1;
// Offsets in the header page.
constexpr size_t kHeaderVersion = 8, kHeaderSize = 16, kHeaderEpoch = 24, kHeaderSum = 32;
// Offsets in a record.
constexpr size_t kKind = 4, kAlgorithm = 5, kLength = 8, kEpoch = 16, kSequence = 24, kDigest = 32, kKey = 96,
                 kSum = 160;

size_t aligned(size_t offset, size_t to) {
  return (offset + to - 1) / to * to;
}

template <class Number>
void put(uint8_t* at, Number number) {
  for (size_t i = 0; i < sizeof(Number); ++i) at[i] = static_cast<uint8_t>(uint64_t{number} >> (8 * i));
}
template <class Number>
Number get(Bytes bytes, size_t offset) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(Number); ++i) number |= uint64_t{bytes[offset + i]} << (8 * i);
  return static_cast<Number>(number);
}

// Puts the hash of `bytes` at `at`; the three functions are those of one algorithm.
template <class State>
void hash(uint8_t* at, Bytes bytes, int (*begin)(State*), int (*update)(State*, const void*, size_t),
          int (*end)(unsigned char*, State*)) {
  State state;
  begin(&state);
  update(&state, bytes.data(), bytes.size());
  end(at, &state);
}
// Puts the SHA-256 of `bytes` at `at`.
void put_sum(uint8_t* at, Bytes bytes) {
  hash(at, bytes, ::SHA256_Init, ::SHA256_Update, ::SHA256_Final);
}
bool sum_is(Bytes sum, Bytes bytes) {
  uint8_t made[SHA256_DIGEST_LENGTH];
  put_sum(made, bytes);
  return std::equal(sum.begin(), sum.end(), made);
}

bool is_head(Bytes head, uint64_t epoch, uint64_t sequence) {
  return std::memcmp(head.data(), kRecordMagic, 4) == 0 && get<uint64_t>(head, kEpoch) == epoch &&
         get<uint64_t>(head, kSequence) == sequence &&
         sum_is(head.subspan(kSum, SHA256_DIGEST_LENGTH), head.first(kSum));
}

uint8_t from_hex(char digit) {
  return static_cast<uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

}  // namespace

size_t record_size(size_t bytes) noexcept {
  return kRecordHead + aligned(bytes, 8);
}

void append_record(std::vector<uint8_t>& out, uint64_t epoch, uint64_t sequence, RecordKind kind,
                   const DigestParts& digest, std::string_view key, std::span<const uint8_t> bytes) {
  const size_t begin = out.size();
  out.resize(begin + record_size(bytes.size()));
  uint8_t* const head = out.data() + begin;
  std::memcpy(head, kRecordMagic, 4);
  head[kKind] = static_cast<uint8_t>(kind);
  for (size_t i = 0; i < kAlgorithms.size(); ++i) {
    if (digest.algorithm == kAlgorithms[i].name) head[kAlgorithm] = static_cast<uint8_t>(i + 1);
  }
  put(head + kLength, static_cast<uint32_t>(bytes.size()));
  put(head + kEpoch, epoch);
  put(head + kSequence, sequence);
  for (size_t i = 0; i + 1 < digest.hex.size(); i += 2)
    head[kDigest + i / 2] = static_cast<uint8_t>(from_hex(digest.hex[i]) << 4 | from_hex(digest.hex[i + 1]));
  std::copy_n(key.begin(), std::min<size_t>(key.size(), IPCS_KEY_MAX), head + kKey);
  put_sum(head + kSum, {head, kSum});
  if (!bytes.empty()) std::memcpy(head + kRecordHead, bytes.data(), bytes.size());
}

bool names(const DigestParts& digest, std::span<const uint8_t> bytes) {
  uint8_t made[SHA512_DIGEST_LENGTH];
  size_t size = SHA512_DIGEST_LENGTH;
  if (digest.algorithm == "sha256") {
    size = SHA256_DIGEST_LENGTH;
    put_sum(made, bytes);
  } else if (digest.algorithm == "sha384") {
    size = SHA384_DIGEST_LENGTH;
    hash(made, bytes, ::SHA384_Init, ::SHA384_Update, ::SHA384_Final);
  } else {
    hash(made, bytes, ::SHA512_Init, ::SHA512_Update, ::SHA512_Final);
  }
  if (digest.hex.size() != size * 2) return false;
  for (size_t i = 0; i < size; ++i) {
    if (made[i] != (from_hex(digest.hex[2 * i]) << 4 | from_hex(digest.hex[2 * i + 1]))) return false;
  }
  return true;
}

std::vector<uint8_t> journal_header(uint64_t size, uint64_t epoch) {
  std::vector<uint8_t> page(kJournalPage);
  std::memcpy(page.data(), kFileMagic, 8);
  put(page.data() + kHeaderVersion, kVersion);
  put(page.data() + kHeaderSize, size);
  put(page.data() + kHeaderEpoch, epoch);
  put_sum(page.data() + kHeaderSum, {page.data(), kHeaderSum});
  return page;
}

std::optional<uint64_t> read_journal_header(std::span<const uint8_t> page, uint64_t size, const std::string& path) {
  if (page.size() < kJournalPage || std::memcmp(page.data(), kFileMagic, 8) != 0) return std::nullopt;
  if (!sum_is(page.subspan(kHeaderSum, SHA256_DIGEST_LENGTH), page.first(kHeaderSum))) return std::nullopt;
  if (get<uint32_t>(page, kHeaderVersion) != kVersion)
    throw Error(Code::kFailedPrecondition, path + ": was written by a newer version");
  if (get<uint64_t>(page, kHeaderSize) != size) return std::nullopt;
  return get<uint64_t>(page, kHeaderEpoch);
}

bool has_records(std::span<const uint8_t> pages, uint64_t epoch) noexcept {
  return pages.size() >= kJournalPage + kRecordHead && is_head(pages.subspan(kJournalPage, kRecordHead), epoch, 0);
}

std::optional<Record> RecordReader::next() {
  std::optional<Record> record = at(offset_);
  if (!record) record = at(aligned(offset_, kJournalPage));
  return record;
}

std::optional<Record> RecordReader::at(size_t offset) {
  if (offset > file_.size() || file_.size() - offset < kRecordHead) return std::nullopt;
  const Bytes head = file_.subspan(offset, kRecordHead);
  if (!is_head(head, epoch_, sequence_)) return std::nullopt;
  // The sum says that a writer meant what follows, but not that the writer was sane.
  const uint8_t kind = head[kKind];
  const size_t algorithm = head[kAlgorithm];
  const size_t length = get<uint32_t>(head, kLength);
  if ((kind != static_cast<uint8_t>(RecordKind::kBlob) && kind != static_cast<uint8_t>(RecordKind::kRemoval)) ||
      algorithm < 1 || algorithm > kAlgorithms.size() || length > file_.size() - offset - kRecordHead)
    return std::nullopt;

  Record record;
  record.kind = static_cast<RecordKind>(kind);
  record.digest = std::string(kAlgorithms[algorithm - 1].name) + ":";
  for (size_t i = 0; i < kAlgorithms[algorithm - 1].digits / 2; ++i) {
    record.digest += "0123456789abcdef"[head[kDigest + i] >> 4];
    record.digest += "0123456789abcdef"[head[kDigest + i] & 15];
  }
  const auto key = head.subspan(kKey, IPCS_KEY_MAX);
  record.key.assign(key.begin(), std::find(key.begin(), key.end(), uint8_t{0}));
  record.bytes = file_.subspan(offset + kRecordHead, length);
  record.sound = record.kind == RecordKind::kRemoval || names(split_digest(record.digest), record.bytes);
  offset_ = std::min(file_.size(), offset + record_size(length));
  ++sequence_;
  return record;
}

}  // namespace ipcs::local
