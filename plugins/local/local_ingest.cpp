// Appends with early write-back, and the checks and the data sync of a commit.
#include "local_ingest.hpp"

#include <algorithm>
#include <utility>

#include "ipcs/error.hpp"

namespace ipcs::local {
namespace {
// Write-back begins whenever this much has gathered, so that a commit's sync finds little left to do. Smaller steps
// cost a call each and gain nothing on a disk; small blobs are written by the sync itself.
constexpr uint64_t kWriteBackStep = 4 << 20;
// Between two looks at whether the caller has gone.
constexpr size_t kWriteStep = 1 << 20;
}  // namespace

void LocalIngest::require_open() const {
  if (gone_) throw Error(Code::kFailedPrecondition, "ingest " + key_ + ": has been committed");
}

size_t LocalIngest::read_at(const plugin::Call&, uint64_t offset, std::span<uint8_t> out) {
  require_open();
  if (offset >= size_) return 0;
  return file_->read_at(offset, out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset))));
}

void LocalIngest::append(const plugin::Call& call, std::span<const uint8_t> bytes) {
  require_open();
  while (!bytes.empty()) {
    call.check();
    const auto step = bytes.first(std::min(bytes.size(), kWriteStep));
    store_.reserve(key_, step.size());
    try {
      file_->write_at(size_, step);
    } catch (...) {
      store_.release(step.size());
      cut_to_size();
      throw;
    }
    size_ += step.size();
    bytes = bytes.subspan(step.size());
  }
  if (store_.syncs() && size_ - written_back_ >= kWriteBackStep) {
    file_->start_write_back(written_back_, size_ - written_back_);
    written_back_ = size_;
  }
}

// A failed write may have left a prefix, which no one has counted.
void LocalIngest::cut_to_size() noexcept {
  try {
    file_->truncate(size_);
  } catch (const Error&) {
    ragged_ = true;  // the next append writes over it, and a commit cuts what is left
  }
}

void LocalIngest::truncate(const plugin::Call&, uint64_t size) {
  require_open();
  if (size > size_)
    throw Error(Code::kOutOfRange,
                "ingest " + key_ + ": cannot keep " + std::to_string(size) + " bytes of " + std::to_string(size_));
  file_->truncate(size);
  store_.release(size_ - size);
  size_ = size;
  written_back_ = std::min(written_back_, size);
}

void LocalIngest::commit(const plugin::Call& call, uint64_t size, std::string_view digest,
                         std::string_view content_digest) {
  require_open();
  call.check();
  if (size != size_)
    throw Error(Code::kFailedPrecondition,
                "ingest " + key_ + ": holds " + std::to_string(size_) + " bytes, not " + std::to_string(size));
  if (digest != content_digest)
    throw Error(Code::kFailedPrecondition,
                "ingest " + key_ + ": its bytes are " + std::string(content_digest) + ", not " + std::string(digest));
  const DigestParts parts = split_digest(digest);
  if (std::exchange(ragged_, false)) file_->truncate(size_);
  bool published = false;
  if (!store_.has_blob(parts, size)) {
    const auto journaled = store_.journal(key_, parts, *file_, size);
    if (!journaled && store_.syncs()) sync_data();
    published = store_.publish(key_, *file_, parts, size, journaled.has_value());
  }
  if (!published) {
    store_.drop_ingest(key_, size_);
    gone_ = true;
    throw Error(Code::kAlreadyExists, "blob " + std::string(digest) + ": already exists");
  }
  gone_ = true;
}

void LocalIngest::sync_data() {
  try {
    file_->sync();
  } catch (const Error&) {
    // The kernel reports a failed write once and then takes the pages for clean: a second sync would succeed without
    // the bytes being on the disk. So they are not kept for a second try.
    file_->truncate(0);
    store_.release(size_);
    size_ = written_back_ = 0;
    throw;
  }
}

}  // namespace ipcs::local
