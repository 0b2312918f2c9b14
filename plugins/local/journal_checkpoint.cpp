// The journal's files from their making to their reuse: who syncs the blobs that were committed through them.
#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "ipcs/error.hpp"
#include "journal.hpp"

namespace ipcs::local {
namespace {

// So many blobs are synced one by one; with more, one sync of the file system costs less, although
// it also writes what others have left unwritten.
constexpr size_t kOneByOne = 64;
// Between two attempts to make the files.
constexpr std::chrono::minutes kRetry(1);
// The journal may take this part of the free space.
constexpr uint64_t kPartOfSpace = 64;
constexpr size_t kZeros = 1 << 20;

std::string file_path(size_t half) {
  return std::string(kJournal) + "." + std::to_string(half);
}

// The whole file, or only its beginning when it has no record; empty when it holds nothing that counts.
std::vector<uint8_t> read_records(File& file, const std::string& path, uint64_t& epoch) {
  const uint64_t size = file.info().size;
  std::vector<uint8_t> bytes(static_cast<size_t>(std::min<uint64_t>(size, 2 * kJournalPage)));
  bytes.resize(file.read_at(0, bytes));
  const auto found = read_journal_header(bytes, size, path);
  if (!found) return {};
  epoch = *found;
  if (!has_records(bytes, *found)) return {};
  bytes.resize(static_cast<size_t>(size));
  bytes.resize(file.read_at(0, bytes));
  return bytes;
}

}  // namespace

Unfinished read_unfinished(FileSystem& file_system) {
  struct Found {
    uint64_t epoch = 0;
    std::vector<uint8_t> bytes;
  };
  std::array<Found, 2> found;
  for (size_t half = 0; half < found.size(); ++half) {
    const std::unique_ptr<File> file = file_system.open(file_path(half), OpenMode::kRead);
    if (file)
      found[half].bytes = read_records(*file, file_system.location() + "/" + file_path(half), found[half].epoch);
  }
  if (found[1].epoch < found[0].epoch) std::swap(found[0], found[1]);
  Unfinished unfinished;
  for (const Found& each : found) {
    RecordReader reader(each.bytes, each.epoch);
    while (const auto record = reader.next()) {
      // A record that is not sound was being written when the power failed, and nobody had an answer.
      if (!record->sound) continue;
      UnfinishedBlob& blob = unfinished[record->digest];
      blob.bytes.reset();
      if (record->kind == RecordKind::kRemoval) continue;
      blob.bytes.emplace(record->bytes.begin(), record->bytes.end());
      blob.keys.push_back(record->key);
    }
  }
  return unfinished;
}

void remove_journal(FileSystem& file_system, const std::function<void(const std::string&)>& sync_directory) {
  bool removed = false;
  for (size_t half = 0; half < 2; ++half) removed = file_system.unlink(file_path(half)) || removed;
  if (removed) sync_directory("");
}

std::string Journal::path(size_t half) const {
  return file_path(half);
}

Journal::Journal(FileSystem& file_system, SyncDirectory sync_directory, Options options)
    : file_system_(file_system),
      sync_directory_(std::move(sync_directory)),
      options_(std::move(options)),
      half_size_(std::max(options_.size, kLeastSize) / 2 / kJournalPage * kJournalPage) {
  bool removed = false;
  made_ = true;
  for (size_t i = 0; i < halves_.size(); ++i) {
    Half& half = halves_[i];
    half.file = file_system_.open(path(i), OpenMode::kWrite);
    std::vector<uint8_t> page(kJournalPage);
    std::optional<uint64_t> epoch;
    if (half.file && half.file->info().size == half_size_) {
      page.resize(half.file->read_at(0, page));
      epoch = read_journal_header(page, half_size_, path(i));
    }
    if (epoch) {
      half.epoch = *epoch;
      next_epoch_ = std::max(next_epoch_, *epoch + 1);
    } else {
      half.file.reset();
      removed = file_system_.unlink(path(i)) || removed;
      made_ = false;
    }
  }
  if (removed) sync_directory_("");
  // The older first: its records must not count without the removals behind them.
  const size_t older = halves_[0].epoch <= halves_[1].epoch ? 0 : 1;
  for (const size_t i : {older, 1 - older}) {
    if (halves_[i].file) begin_epoch(halves_[i]);
  }
  halves_[current_].state = State::kCurrent;
  // At once, since the first commits of a new store go the long way until the files are there.
  std::unique_lock lock(mutex_);
  if (options_.background && !made_) want_files(lock);
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
  checkpoint();
}

// A file with a new epoch has no records: those behind the header carry another one. No other thread uses the half.
void Journal::begin_epoch(Half& half) {
  half.epoch = next_epoch_++;
  half.file->write_at(0, journal_header(half_size_, half.epoch));
  half.file->sync();
  half.sequence = 0;
  half.end = kJournalPage;
  half.blobs.clear();
}

bool Journal::has_room() {
  return file_system_.space().available / kPartOfSpace >= options_.size;
}

// Makes the files that are not there. Zeros are written, since a file whose blocks are only reserved costs a change of
// metadata at each sync.
void Journal::make_files() {
  const std::vector<uint8_t> zeros(static_cast<size_t>(std::min<uint64_t>(kZeros, half_size_)));
  std::array<std::unique_ptr<File>, 2> files;
  for (size_t i = 0; i < files.size(); ++i) {
    if (halves_[i].file) continue;
    file_system_.unlink(path(i));
    files[i] = file_system_.open(path(i), OpenMode::kCreate);
    for (uint64_t done = 0; done < half_size_;) {
      const size_t step = static_cast<size_t>(std::min<uint64_t>(zeros.size(), half_size_ - done));
      files[i]->write_at(done, std::span(zeros).first(step));
      done += step;
    }
    files[i]->sync();
  }
  sync_directory_("");
  for (size_t i = 0; i < files.size(); ++i) {
    if (!files[i]) continue;
    // Until made_ is set nobody else looks at a half.
    halves_[i].file = std::move(files[i]);
    begin_epoch(halves_[i]);
  }
}

bool Journal::try_to_make_files() noexcept {
  try {
    if (!has_room()) return false;
    make_files();
    return true;
  } catch (const std::exception& error) {
    // Without a header that is sound the files count for nothing, but they take room on a disk that may be full.
    for (size_t i = 0; i < halves_.size(); ++i) {
      if (halves_[i].file) continue;
      try {
        file_system_.unlink(path(i));
      } catch (const std::exception&) {
        // The next attempt begins with the same.
      }
    }
    if (!std::exchange(warned_, true)) options_.warn(std::string("goes without a journal for now: ") + error.what());
    return false;
  }
}

// Sees to it that the files are made. The caller holds the lock.
void Journal::want_files(std::unique_lock<std::mutex>& lock) {
  if (broken_ || wanted_ || stopping_ || Clock::now() < next_try_) return;
  wanted_ = true;
  if (!options_.background) {
    lock.unlock();
    work();
    lock.lock();
    return;
  }
  work_.notify_all();
  if (worker_.joinable()) return;
  try {
    worker_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    give_up(error.what());
  }
}

// The thread's life; without one, a single round.
void Journal::work() {
  std::unique_lock lock(mutex_);
  do {
    if (wanted_ && !made_) {
      lock.unlock();
      const bool made = try_to_make_files();
      lock.lock();
      made_ = made;
      wanted_ = false;
      next_try_ = Clock::now() + kRetry;
    }
    if (!options_.background) return;
    if (made_ && !broken_) {
      const bool sealed = halves_[1 - current_].state == State::kSealed;
      const bool records = has_records(halves_[current_]);
      const auto due = last_commit_ + options_.idle;
      if (sealed || (records && Clock::now() >= due)) {
        lock.unlock();
        checkpoint_halves(!sealed);
        lock.lock();
        continue;
      }
      if (records && !stopping_) {
        work_.wait_until(lock, due);
        continue;
      }
    }
    if (!stopping_) work_.wait(lock);
  } while (!stopping_);
}

void Journal::checkpoint() noexcept {
  checkpoint_halves(true);
}

// `current`: of the file that takes records, too.
void Journal::checkpoint_halves(bool current) noexcept {
  try {
    const std::lock_guard alone(checkpoint_mutex_);
    std::unique_lock lock(mutex_);
    if (!made_ || broken_) return;
    checkpoint_sealed(lock);
    if (!current) return;
    // The file is written to by a leader, and by the next one if nobody stops them.
    pausing_ = true;
    changed_.wait(lock, [&] { return !running_; });
    pausing_ = false;
    const bool switched = !broken_ && has_records(halves_[current_]) && switch_halves();
    hand_over();
    if (switched) checkpoint_sealed(lock);
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    give_up(error.what());
  }
}

// Empties the file that is not current, if it is full. The caller has checkpoint_mutex_ and the lock, which is given up
// meanwhile.
void Journal::checkpoint_sealed(std::unique_lock<std::mutex>& lock) {
  Half& half = halves_[1 - current_];
  if (half.state != State::kSealed) return;
  changed_.wait(lock, [&] { return half.held == 0; });
  const std::vector<std::string> digests(half.blobs.begin(), half.blobs.end());
  lock.unlock();
  sync_blobs(file_system_, digests, sync_directory_);
  lock.lock();
  const uint64_t epoch = next_epoch_++;
  lock.unlock();
  half.file->write_at(0, journal_header(half_size_, epoch));
  half.file->sync();
  lock.lock();
  half.epoch = epoch;
  half.sequence = 0;
  half.end = kJournalPage;
  half.blobs.clear();
  half.state = State::kReady;
  changed_.notify_all();
}

void sync_blobs(FileSystem& file_system, const std::vector<std::string>& digests,
                const std::function<void(const std::string&)>& sync_directory) {
  if (digests.size() > kOneByOne) return file_system.sync_all();
  std::vector<std::unique_ptr<File>> files;
  std::set<std::string> directories;
  for (const std::string& digest : digests) {
    const DigestParts parts = split_digest(digest);
    std::unique_ptr<File> file = file_system.open(blob_path(parts), OpenMode::kRead);
    if (!file) continue;  // removed since
    file->start_write_back(0, Journal::kLargestBlob);
    files.push_back(std::move(file));
    directories.insert(blob_directory(parts.algorithm));
  }
  for (const auto& file : files) file->sync();
  for (const std::string& directory : directories) sync_directory(directory);
}

}  // namespace ipcs::local
