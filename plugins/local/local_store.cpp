// Blobs and the store itself; publication.cpp holds the way of an ingest to a blob.
#include "local_store.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "cursor.hpp"
#include "ipcs/error.hpp"
#include "local_ingest.hpp"

namespace ipcs::local {
namespace {

// As few digits as say it: 0.95.
std::string shortest(double number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return std::string(text.data(), end);
}

// An opened blob; the file stays readable after its name has gone.
class LocalReader final : public plugin::Reader {
 public:
  LocalReader(std::unique_ptr<File> file, std::string_view digest)
      : file_(std::move(file)), size_(file_->info().size), digest_(digest) {}

  uint64_t size() noexcept override { return size_; }

  size_t read_at(const plugin::Call&, uint64_t offset, std::span<uint8_t> out) override {
    if (offset >= size_) return 0;
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset));
    const size_t count = file_->read_at(offset, out.first(wanted));
    if (count < wanted) throw Error(Code::kDataLoss, "blob " + digest_ + ": its file became shorter while it was open");
    return count;
  }

  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override {
    if (offset >= size_) return 0;
    return file_->read_cached(offset, out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset))));
  }

 private:
  const std::unique_ptr<File> file_;
  const uint64_t size_;
  const std::string digest_;
};

// A blob that only the journal of a store opened for reading has whole.
class UnfinishedReader final : public plugin::Reader {
 public:
  explicit UnfinishedReader(const std::vector<uint8_t>& bytes) noexcept : bytes_(bytes) {}

  uint64_t size() noexcept override { return bytes_.size(); }
  size_t read_at(const plugin::Call&, uint64_t offset, std::span<uint8_t> out) override {
    return read_cached(offset, out);
  }
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override {
    if (offset >= bytes_.size()) return 0;
    const auto rest = std::span(bytes_).subspan(static_cast<size_t>(offset));
    const size_t count = std::min(out.size(), rest.size());
    std::copy_n(rest.begin(), count, out.begin());
    return count;
  }

 private:
  const std::vector<uint8_t>& bytes_;  // the store's, which outlives the reader
};

[[noreturn]] void no_blob(std::string_view digest) {
  throw Error(Code::kNotFound, "blob " + std::string(digest) + ": not found");
}

}  // namespace

LocalStore::LocalStore(std::unique_ptr<FileSystem> file_system, Config config, bool read_only,
                       std::string_view fresh_id, const plugin::Call& call,
                       std::function<void(const std::string&)> warn)
    : file_system_(std::move(file_system)), config_(std::move(config)), read_only_(read_only) {
  if (!read_only_) prepare_directories();
  load_id(fresh_id);
  // Also without a journal of its own: the run before may have had one.
  replay(read_unfinished(*file_system_));
  if (finished_)
    open_journal(
        [this, warn = std::move(warn)](const std::string& what) { warn(file_system_->location() + ": " + what); });
  count_used(call);
}

void LocalStore::prepare_directories() {
  ensure_directory("", kBlobs);
  ensure_directory("", kIngests);
  ensure_directory(kBlobs, blob_directory(kAlgorithms[0].name));
  // A daemon that was killed between a rename and its sync leaves a name that is visible but not durable. What this
  // store shows is durable, so every directory is synced once.
  for (const Algorithm& algorithm : kAlgorithms) {
    const std::string directory = blob_directory(algorithm.name);
    if (!file_system_->stat(directory)) continue;
    ensure_directory(kBlobs, directory);
    sync_directory(directory);
  }
}

void LocalStore::open_journal(const std::function<void(const std::string&)>& warn) {
  const auto sync = [this](const std::string& path) { sync_directory(path); };
  try {
    if (config_.fsync && config_.journal != 0) {
      journal_.emplace(*file_system_, sync,
                       Journal::Options{.size = config_.journal, .background = config_.journal_thread, .warn = warn});
    } else {
      remove_journal(*file_system_, sync);
    }
  } catch (const Error& error) {
    // A directory that can't be written to, perhaps: its blobs can be read. Records that count still do no harm.
    warn(std::string("goes without a journal: ") + error.what());
  }
}

void LocalStore::load_id(std::string_view fresh_id) {
  std::unique_ptr<File> file = file_system_->open(kStoreId, OpenMode::kRead);
  if (!file && read_only_) {
    const FileInfo root = file_system_->stat("").value_or(FileInfo());
    id_ = "device-" + std::to_string(root.device) + "-inode-" + std::to_string(root.inode);
    return;
  }
  if (!file) {
    // Written aside first: a power loss must not leave half an id.
    const std::string fresh = std::string(kStoreId) + ".new";
    file_system_->unlink(fresh);
    const std::unique_ptr<File> made = file_system_->open(fresh, OpenMode::kCreate);
    const std::string line = std::string(fresh_id) + "\n";
    made->write_at(0, {reinterpret_cast<const uint8_t*>(line.data()), line.size()});
    if (config_.fsync) made->sync();
    if (!file_system_->rename_no_replace(fresh, kStoreId)) file_system_->unlink(fresh);
    sync_directory("");
    file = file_system_->open(kStoreId, OpenMode::kRead);
  } else if (!read_only_) {
    sync_directory("");  // the same as above: a kill may have come before its sync
  }
  std::array<uint8_t, 64> text{};
  const size_t size = file ? file->read_at(0, text) : 0;
  id_.assign(text.begin(), text.begin() + static_cast<ptrdiff_t>(size));
  while (!id_.empty() && id_.back() == '\n') id_.pop_back();
  const bool sound =
      std::all_of(id_.begin(), id_.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  if (id_.empty() || id_.size() > 63 || !sound)
    throw Error(Code::kFailedPrecondition, file_system_->location() + "/" + kStoreId + ": holds no store id");
}

void LocalStore::count_used(const plugin::Call& call) {
  uint64_t used = 0;
  const auto cursors = {list_blobs(call), list_ingests(call)};
  for (const auto& cursor : cursors) {
    for (auto entries = cursor->next(call, 256); !entries.empty(); entries = cursor->next(call, 256))
      for (const plugin::Entry& entry : entries) used += entry.size;
  }
  used_ = used;
}

plugin::StoreInfo LocalStore::info(const plugin::Call&) {
  const Space space = file_system_->space();
  plugin::StoreInfo info;
  info.id = id_;
  info.location = file_system_->location();
  info.read_only = read_only_;
  info.local = true;
  info.full = is_full(space);
  info.used_bytes = used_;
  info.quota_bytes = config_.quota;
  info.free_bytes = space.available;
  if (config_.quota != 0)
    info.free_bytes = std::min(info.free_bytes, config_.quota - std::min(config_.quota, info.used_bytes));
  return info;
}

bool LocalStore::reached(uint64_t used, uint64_t total) const {
  return static_cast<double>(used) >= config_.full_at * static_cast<double>(total);
}

bool LocalStore::is_full(const Space& space) const {
  return reached(space.total - space.available, space.total) || (config_.quota != 0 && reached(used_, config_.quota));
}

void LocalStore::require_writable(std::string_view subject) const {
  if (read_only_)
    throw Error(Code::kFailedPrecondition,
                std::string(subject) + ": the store " + file_system_->location() + " is open for reading only");
}

FileInfo LocalStore::blob_info(std::string_view digest) {
  if (const auto found = unfinished_.find(std::string(digest)); found != unfinished_.end()) {
    if (!found->second.bytes) no_blob(digest);
    FileInfo info;
    info.regular = true;
    info.size = found->second.bytes->size();
    return info;
  }
  const std::string path = blob_path(split_digest(digest));
  const auto info = file_system_->stat(path);
  if (!info || !info->regular || is_hidden(path)) no_blob(digest);
  return *info;
}

plugin::Entry LocalStore::stat_blob(const plugin::Call&, std::string_view digest) {
  return to_entry(std::string(digest), blob_info(digest), true);
}

std::unique_ptr<plugin::Reader> LocalStore::open_blob(const plugin::Call&, std::string_view digest) {
  if (const auto found = unfinished_.find(std::string(digest)); found != unfinished_.end()) {
    if (!found->second.bytes) no_blob(digest);
    return std::make_unique<UnfinishedReader>(*found->second.bytes);
  }
  const std::string path = blob_path(split_digest(digest));
  std::unique_ptr<File> file = file_system_->open(path, OpenMode::kRead);
  if (!file || is_hidden(path)) no_blob(digest);
  return std::make_unique<LocalReader>(std::move(file), digest);
}

std::unique_ptr<plugin::Cursor> LocalStore::list_blobs(const plugin::Call&) {
  std::vector<ListedDirectory> directories;
  for (const Algorithm& algorithm : kAlgorithms) {
    directories.push_back({blob_directory(algorithm.name), std::string(algorithm.name) + ":",
                           [digits = algorithm.digits](std::string_view name) { return is_hex(name, digits); }});
  }
  std::set<std::string> not_shown;
  std::vector<plugin::Entry> more;
  for (const auto& [digest, blob] : unfinished_) {
    not_shown.insert(blob_path(split_digest(digest)));
    if (blob.bytes) more.push_back({digest, blob.bytes->size(), 0, 0});
  }
  return std::make_unique<DirectoryCursor>(
      *file_system_, std::move(directories), true,
      [this, not_shown = std::move(not_shown)](const std::string& path) {
        return is_hidden(path) || not_shown.contains(path);
      },
      std::move(more));
}

void LocalStore::remove_blob(const plugin::Call&, std::string_view digest) {
  require_writable("blob " + std::string(digest));
  const FileInfo info = blob_info(digest);
  // Not synced: a blob that comes back after a power loss is whole, and garbage collection removes it again.
  if (journal_) journal_->note_removal(split_digest(digest), false);
  if (!file_system_->unlink(blob_path(split_digest(digest)))) no_blob(digest);
  release(info.size);
}

void LocalStore::quarantine_blob(const plugin::Call&, std::string_view digest) {
  require_writable("blob " + std::string(digest));
  const FileInfo info = blob_info(digest);
  const DigestParts parts = split_digest(digest);
  if (journal_) journal_->note_removal(parts, true);
  move_to_quarantine(parts, info.size);
  // Synced, unlike a removal: damaged bytes must not come back into service.
  sync_directory(blob_directory(parts.algorithm));
  sync_directory(std::string(kQuarantine) + "/" + std::string(parts.algorithm));
}

void LocalStore::move_to_quarantine(const DigestParts& digest, uint64_t size) {
  const std::string directory = std::string(kQuarantine) + "/" + std::string(digest.algorithm);
  ensure_directory("", kQuarantine);
  ensure_directory(kQuarantine, directory);
  const std::string stem = directory + "/" + std::string(digest.hex) + ".";
  unsigned number = 1;
  while (!file_system_->rename_no_replace(blob_path(digest), stem + std::to_string(number))) ++number;
  release(size);
}

std::unique_ptr<plugin::Cursor> LocalStore::list_ingests(const plugin::Call&) {
  std::vector<ListedDirectory> directories = {{kIngests, "", is_key}};
  return std::make_unique<DirectoryCursor>(*file_system_, std::move(directories), false,
                                           [](const std::string&) { return false; });
}

std::unique_ptr<plugin::Ingest> LocalStore::open_ingest(const plugin::Call&, std::string_view key, bool create,
                                                        uint64_t /*expected_size*/) {
  const std::string name = "ingest " + std::string(key);
  require_writable(name);
  const std::string path = ingest_path(key);
  std::unique_ptr<File> file = file_system_->open(path, OpenMode::kWrite);
  if (file) {
    const FileInfo info = file->info();
    if (info.links == 1) return std::make_unique<LocalIngest>(*this, std::string(key), std::move(file), info.size);
    // Where a rename is a link and an unlink, a crash between the two leaves a blob's second name: not to be written
    // to.
    file.reset();
    drop_ingest(key, info.size);
  }
  if (!create) throw Error(Code::kNotFound, name + ": not found");
  const Space space = file_system_->space();
  if (is_full(space)) {
    // Which of the two it is: the quota where that alone would do.
    const bool of_quota = config_.quota != 0 && reached(used_, config_.quota);
    const uint64_t used = of_quota ? used_.load() : space.total - space.available;
    throw Error(Code::kResourceExhausted,
                name + ": the store " + file_system_->location() + " is full: " + std::to_string(used) + " bytes of " +
                    (of_quota ? "its quota of " : "the file system's ") +
                    std::to_string(of_quota ? config_.quota : space.total) + " are used, at full_at = " +
                    shortest(config_.full_at) + " new ones are refused");
  }
  return std::make_unique<LocalIngest>(*this, std::string(key), file_system_->open(path, OpenMode::kCreate), 0);
}

void LocalStore::discard_ingest(const plugin::Call&, std::string_view key) {
  require_writable("ingest " + std::string(key));
  const auto info = file_system_->stat(ingest_path(key));
  if (!info) throw Error(Code::kNotFound, "ingest " + std::string(key) + ": not found");
  drop_ingest(key, info->size);
}

void LocalStore::reserve(std::string_view key, uint64_t bytes) {
  const uint64_t used = used_.fetch_add(bytes) + bytes;
  if (config_.quota == 0 || used <= config_.quota) return;
  release(bytes);
  throw Error(Code::kResourceExhausted, "ingest " + std::string(key) + ": the quota of " +
                                            std::to_string(config_.quota) + " bytes of " + file_system_->location() +
                                            " is used up");
}

void LocalStore::drop_ingest(std::string_view key, uint64_t size) {
  if (file_system_->unlink(ingest_path(key))) release(size);
}

void LocalStore::ensure_directory(const std::string& parent, const std::string& path) {
  {
    const std::lock_guard lock(directories_mutex_);
    if (durable_directories_.contains(path)) return;
  }
  file_system_->make_directory(path);
  sync_directory(parent);  // also when it was there: whoever made it may have been killed before this
  const std::lock_guard lock(directories_mutex_);
  durable_directories_.insert(path);
}

DirectorySync& LocalStore::directory_sync(const std::string& path) {
  const std::lock_guard lock(directories_mutex_);
  return syncs_.try_emplace(path, *file_system_, path).first->second;
}

void LocalStore::sync_directory(const std::string& path) {
  if (config_.fsync) directory_sync(path).sync();
}

}  // namespace ipcs::local
