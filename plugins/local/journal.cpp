// Leader and followers of the journal's syncs; journal_checkpoint.cpp empties what they fill.
#include "journal.hpp"

#include <algorithm>
#include <new>

#include "ipcs/error.hpp"

namespace ipcs::local {
namespace {

// More is not written at once, so that nobody waits for more than this.
constexpr size_t kLargestBatch = 1 << 20;
// From here to the end of a file there is room for removals alone: they must not wait for a checkpoint as a rule.
uint64_t end_for_blobs(uint64_t size) {
  return size - std::min<uint64_t>(64 << 10, size / 8);
}

std::string name_of(const DigestParts& digest) {
  return std::string(digest.algorithm) + ":" + std::string(digest.hex);
}

uint64_t aligned(uint64_t offset, uint64_t to) {
  return (offset + to - 1) / to * to;
}

}  // namespace

std::optional<Journal::Hold> Journal::commit(const DigestParts& digest, std::string_view key,
                                             std::span<const uint8_t> bytes) {
  if (bytes.size() > kLargestBlob || kJournalPage + record_size(bytes.size()) > end_for_blobs(half_size_))
    return std::nullopt;
  auto half = write(RecordKind::kBlob, digest, key, bytes, true);
  if (!half && !options_.background) {
    checkpoint();
    half = write(RecordKind::kBlob, digest, key, bytes, true);
  }
  if (!half) return std::nullopt;
  return Hold(*this, *half);
}

void Journal::note_removal(const DigestParts& digest, bool durably) {
  const std::string name = name_of(digest);
  for (int attempt = 0; attempt < 2; ++attempt) {
    {
      const std::lock_guard lock(mutex_);
      // Until the files are made, without the lock, there is no record.
      if (!made_ || broken_ || (!halves_[0].blobs.contains(name) && !halves_[1].blobs.contains(name))) return;
    }
    if (write(RecordKind::kRemoval, digest, {}, {}, durably)) return;
    checkpoint();  // both files are full: without its record the blob can't come back
  }
}

std::optional<size_t> Journal::write(RecordKind kind, const DigestParts& digest, std::string_view key,
                                     std::span<const uint8_t> bytes, bool sync) {
  std::unique_lock lock(mutex_);
  if (!made_) want_files(lock);
  if (!made_ || broken_) return std::nullopt;
  if (spare_.empty()) spare_.push_back(&requests_.emplace_back());
  queue_.reserve(queue_.size() + 1);
  Request& request = *spare_.back();
  spare_.pop_back();
  request.kind = kind;
  request.digest = digest;
  request.key = key;
  request.bytes = bytes;
  request.sync = sync;
  request.answer = Answer::kNone;
  queue_.push_back(&request);
  if (!running_ && !pausing_) hand_over();
  if (request.answer == Answer::kNone) {
    lock.unlock();
    while (request.answer == Answer::kNone) request.answer.wait(Answer::kNone);
    lock.lock();
  }
  if (request.answer == Answer::kLead) {
    write_batch(lock);  // answers its leader's request at least
    hand_over();
  }
  const std::optional<size_t> half = request.answer == Answer::kWritten ? std::optional(request.half) : std::nullopt;
  spare_.push_back(&request);
  return half;
}

void Journal::tell(Request& request, Answer answer) noexcept {
  request.answer = answer;
  request.answer.notify_all();
}

// Makes the first in the queue the leader. The caller holds the mutex, and there is no leader or it ends now.
void Journal::hand_over() {
  running_ = !queue_.empty() && !pausing_;
  if (running_) {
    tell(*queue_.front(), Answer::kLead);
  } else {
    changed_.notify_all();
  }
}

// Called by a leader, with its own request first in the queue.
void Journal::write_batch(std::unique_lock<std::mutex>& lock) {
  bool sync = false;
  batch_.clear();
  buffer_.clear();
  const auto take = [&](Half& half) {
    while (batch_.size() < queue_.size() && buffer_.size() < kLargestBatch) {
      Request& request = *queue_[batch_.size()];
      const uint64_t end = half.end + buffer_.size() + record_size(request.bytes.size());
      if (end > (request.kind == RecordKind::kBlob ? end_for_blobs(half_size_) : half_size_)) break;
      append_record(buffer_, half.epoch, half.sequence++, request.kind, request.digest, request.key, request.bytes);
      sync = sync || request.sync;
      if (request.kind == RecordKind::kBlob) half.blobs.insert(name_of(request.digest));
      batch_.push_back(&request);
    }
  };
  try {
    take(halves_[current_]);
    if (batch_.empty() && switch_halves()) take(halves_[current_]);
    // What comes next begins a page.
    const uint64_t begin = halves_[current_].end;
    if (sync) buffer_.resize(aligned(begin + buffer_.size(), kJournalPage) - begin);
  } catch (const std::bad_alloc&) {
    give_up("out of memory");
  }
  if (batch_.empty() || broken_) {
    for (Request* request : queue_) tell(*request, Answer::kRefused);
    queue_.clear();
    return;
  }
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(batch_.size()));

  Half& half = halves_[current_];
  lock.unlock();
  std::string failure;
  try {
    half.file->write_at(half.end, buffer_);
    if (sync) half.file->sync();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  lock.lock();
  if (!failure.empty()) give_up(failure);
  if (failure.empty()) {
    if (!has_records(half)) work_.notify_all();
    half.end += buffer_.size();
    last_commit_ = Clock::now();
  }
  for (Request* request : batch_) {
    if (failure.empty() && request->kind == RecordKind::kBlob) ++half.held;
    request->half = current_;
    tell(*request, failure.empty() ? Answer::kWritten : Answer::kRefused);
  }
  if (buffer_.capacity() > kLargestBatch / 4) buffer_ = {};
}

// Nobody writes, the caller holds the mutex. False when the other file is still full.
bool Journal::switch_halves() {
  Half& other = halves_[1 - current_];
  if (other.state != State::kReady) return false;
  halves_[current_].state = State::kSealed;
  other.state = State::kCurrent;
  current_ = 1 - current_;
  work_.notify_all();
  return true;
}

void Journal::release(size_t half) noexcept {
  const std::lock_guard lock(mutex_);
  if (--halves_[half].held == 0 && halves_[half].state == State::kSealed) changed_.notify_all();
}

// A failure is final, as of every sync: what the kernel has reported once it forgets. The caller holds the mutex.
void Journal::give_up(const std::string& why) noexcept {
  if (broken_) return;
  broken_ = true;
  try {
    options_.warn("the journal takes no more until the store is opened again: " + why);
  } catch (...) {
    // Commits go the long way, whether or not somebody hears of it.
  }
}

}  // namespace ipcs::local
