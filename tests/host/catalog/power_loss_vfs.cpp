// The VFS's calls: plain files, advisory locks and shared memory, all in this process.
#include "host/catalog/power_loss_vfs.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <stdexcept>

namespace ipcs::catalog::testing {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr size_t kSector = 512;

// A write, or a truncation to `offset` when `bytes` is empty.
struct Change {
  size_t offset;
  Bytes bytes;
};

void apply(Bytes& data, size_t offset, const uint8_t* bytes, size_t size) {
  if (data.size() < offset + size) data.resize(offset + size);
  std::copy_n(bytes, size, data.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

struct PowerLossVfs::File {
  Bytes data;
  Bytes synced;
  std::vector<Change> unsynced;
  std::vector<Handle*> handles;
  std::vector<std::unique_ptr<uint8_t[]>> shared_memory;
};

// What sqlite allocates for an open file; `base` comes first.
struct PowerLossVfs::Handle {
  sqlite3_file base;
  PowerLossVfs* vfs;
  std::shared_ptr<File> file;
  std::string path;
  bool syncs_directory;
  int level;  // SQLITE_LOCK_*
  bool maps_shared_memory;
  uint32_t shared_locks;  // of shared memory, a bit each
  uint32_t exclusive_locks;
};

struct VfsCalls {
  using Handle = PowerLossVfs::Handle;
  using File = PowerLossVfs::File;

  static Handle& of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
  static PowerLossVfs& of(sqlite3_vfs* vfs) { return *static_cast<PowerLossVfs*>(vfs->pAppData); }
  static sqlite3_vfs* real() { return sqlite3_vfs_find("unix"); }

  // -- files -----------------------------------------------------------------------------------------------------
  static int close(sqlite3_file* base) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    unmap(handle);
    auto& handles = handle.file->handles;
    handles.erase(std::find(handles.begin(), handles.end(), &handle));
    --handle.vfs->open_handles_;
    handle.~Handle();
    return SQLITE_OK;
  }

  static int read(sqlite3_file* base, void* out, int amount, sqlite3_int64 offset) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    if (handle.vfs->failed_) return SQLITE_IOERR_READ;
    const Bytes& data = handle.file->data;
    const size_t at = std::min(static_cast<size_t>(offset), data.size());
    const size_t count = std::min(static_cast<size_t>(amount), data.size() - at);
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(at), count, static_cast<uint8_t*>(out));
    std::memset(static_cast<uint8_t*>(out) + count, 0, static_cast<size_t>(amount) - count);
    return count == static_cast<size_t>(amount) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static int write(sqlite3_file* base, const void* bytes, int amount, sqlite3_int64 offset) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    if (handle.vfs->step() != SQLITE_OK) return SQLITE_IOERR_WRITE;
    if (handle.vfs->full) return SQLITE_FULL;
    const auto* from = static_cast<const uint8_t*>(bytes);
    apply(handle.file->data, static_cast<size_t>(offset), from, static_cast<size_t>(amount));
    handle.file->unsynced.push_back({static_cast<size_t>(offset), Bytes(from, from + amount)});
    return SQLITE_OK;
  }

  static int truncate(sqlite3_file* base, sqlite3_int64 size) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    if (handle.vfs->step() != SQLITE_OK) return SQLITE_IOERR_TRUNCATE;
    handle.file->data.resize(static_cast<size_t>(size));
    handle.file->unsynced.push_back({static_cast<size_t>(size), {}});
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* base, int) {
    Handle& handle = of(base);
    PowerLossVfs& vfs = *handle.vfs;
    if (vfs.before_sync) vfs.before_sync();
    const std::lock_guard lock(vfs.mutex_);
    if (vfs.step() != SQLITE_OK || vfs.refuse_syncs) return SQLITE_IOERR_FSYNC;
    ++vfs.syncs_[handle.path];
    handle.file->synced = handle.file->data;
    handle.file->unsynced.clear();
    if (handle.syncs_directory) vfs.durable_ = vfs.files_;
    handle.syncs_directory = false;
    return SQLITE_OK;
  }

  static int file_size(sqlite3_file* base, sqlite3_int64* size) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    if (handle.vfs->failed_) return SQLITE_IOERR_FSTAT;
    *size = static_cast<sqlite3_int64>(handle.file->data.size());
    return SQLITE_OK;
  }

  // -- advisory locks --------------------------------------------------------------------------------------------
  static int others(const Handle& handle) {
    int level = SQLITE_LOCK_NONE;
    for (const Handle* other : handle.file->handles) {
      if (other != &handle) level = std::max(level, other->level);
    }
    return level;
  }

  static int lock(sqlite3_file* base, int level) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    if (handle.level >= level) return SQLITE_OK;
    const int other = others(handle);
    if (other >= (level == SQLITE_LOCK_SHARED ? SQLITE_LOCK_PENDING : SQLITE_LOCK_RESERVED)) return SQLITE_BUSY;
    if (level == SQLITE_LOCK_EXCLUSIVE && other >= SQLITE_LOCK_SHARED) {
      handle.level = SQLITE_LOCK_PENDING;
      return SQLITE_BUSY;
    }
    handle.level = level;
    return SQLITE_OK;
  }

  static int unlock(sqlite3_file* base, int level) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    handle.level = std::min(handle.level, level);
    return SQLITE_OK;
  }

  static int check_reserved_lock(sqlite3_file* base, int* out) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    *out = std::max(handle.level, others(handle)) >= SQLITE_LOCK_RESERVED;
    return SQLITE_OK;
  }

  static int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
  static int sector_size(sqlite3_file*) { return kSector; }
  // As sqlite assumes of Linux: a write leaves the bytes beside it alone.
  static int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  // -- shared memory ---------------------------------------------------------------------------------------------
  static int shm_map(sqlite3_file* base, int region, int size, int extend, void volatile** out) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    handle.maps_shared_memory = true;
    auto& memory = handle.file->shared_memory;
    *out = nullptr;
    while (memory.size() <= static_cast<size_t>(region)) {
      if (!extend) return SQLITE_OK;
      memory.push_back(std::make_unique<uint8_t[]>(static_cast<size_t>(size)));
    }
    *out = memory[static_cast<size_t>(region)].get();
    return SQLITE_OK;
  }

  static int shm_lock(sqlite3_file* base, int offset, int count, int flags) {
    Handle& handle = of(base);
    const std::lock_guard lock(handle.vfs->mutex_);
    const uint32_t mask = ((1u << count) - 1) << offset;
    if (flags & SQLITE_SHM_UNLOCK) {
      handle.shared_locks &= ~mask;
      handle.exclusive_locks &= ~mask;
      return SQLITE_OK;
    }
    for (const Handle* other : handle.file->handles) {
      if (other == &handle) continue;
      const uint32_t taken = other->exclusive_locks | ((flags & SQLITE_SHM_EXCLUSIVE) ? other->shared_locks : 0);
      if (taken & mask) return SQLITE_BUSY;
    }
    ((flags & SQLITE_SHM_EXCLUSIVE) ? handle.exclusive_locks : handle.shared_locks) |= mask;
    return SQLITE_OK;
  }

  static void shm_barrier(sqlite3_file* base) { const std::lock_guard lock(of(base).vfs->mutex_); }

  static void unmap(Handle& handle) {
    handle.maps_shared_memory = false;
    handle.shared_locks = handle.exclusive_locks = 0;
    const auto& handles = handle.file->handles;
    if (std::none_of(handles.begin(), handles.end(), [](const Handle* h) { return h->maps_shared_memory; })) {
      handle.file->shared_memory.clear();
    }
  }

  static int shm_unmap(sqlite3_file* base, int) {
    const std::lock_guard lock(of(base).vfs->mutex_);
    unmap(of(base));
    return SQLITE_OK;
  }

  // -- names -----------------------------------------------------------------------------------------------------
  static int open(sqlite3_vfs* base, const char* name, sqlite3_file* out, int flags, int* out_flags) {
    static const sqlite3_io_methods kMethods = {2,
                                                close,
                                                read,
                                                write,
                                                truncate,
                                                sync,
                                                file_size,
                                                lock,
                                                unlock,
                                                check_reserved_lock,
                                                file_control,
                                                sector_size,
                                                characteristics,
                                                shm_map,
                                                shm_lock,
                                                shm_barrier,
                                                shm_unmap,
                                                nullptr,
                                                nullptr};
    PowerLossVfs& vfs = of(base);
    out->pMethods = nullptr;
    const std::lock_guard lock(vfs.mutex_);
    if (vfs.failed_) return SQLITE_CANTOPEN;
    std::shared_ptr<File> file;
    if (name == nullptr) {
      file = std::make_shared<File>();
    } else if (const auto found = vfs.files_.find(name); found != vfs.files_.end()) {
      file = found->second;
    } else {
      if (!(flags & SQLITE_OPEN_CREATE) || vfs.step() != SQLITE_OK) return SQLITE_CANTOPEN;
      file = vfs.files_[name] = std::make_shared<File>();
    }
    constexpr int kJournals = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL;
    const bool syncs_directory = (flags & SQLITE_OPEN_CREATE) && (flags & kJournals);
    auto* handle = new (out)
        Handle{{&kMethods}, &vfs, file, name == nullptr ? "" : name, syncs_directory, SQLITE_LOCK_NONE, false, 0, 0};
    file->handles.push_back(handle);
    ++vfs.open_handles_;
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* base, const char* name, int sync_directory) {
    PowerLossVfs& vfs = of(base);
    const std::lock_guard lock(vfs.mutex_);
    if (!vfs.files_.contains(name)) return SQLITE_IOERR_DELETE_NOENT;
    if (vfs.step() != SQLITE_OK) return SQLITE_IOERR_DELETE;
    vfs.files_.erase(name);
    if (sync_directory) vfs.durable_ = vfs.files_;
    return SQLITE_OK;
  }

  static int access(sqlite3_vfs* base, const char* name, int, int* out) {
    PowerLossVfs& vfs = of(base);
    const std::lock_guard lock(vfs.mutex_);
    if (vfs.failed_) return SQLITE_IOERR_ACCESS;
    *out = vfs.files_.contains(name);
    return SQLITE_OK;
  }

  static int full_pathname(sqlite3_vfs*, const char* name, int size, char* out) {
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
  }
  static int randomness(sqlite3_vfs*, int size, char* out) { return real()->xRandomness(real(), size, out); }
  static int sleep(sqlite3_vfs*, int us) { return real()->xSleep(real(), us); }
  static int current_time(sqlite3_vfs*, double* out) { return real()->xCurrentTime(real(), out); }
  static int last_error(sqlite3_vfs*, int, char*) { return 0; }
};

PowerLossVfs::PowerLossVfs() {
  static std::atomic<int> count{0};
  name_ = "power-loss-" + std::to_string(++count);
  vfs_.iVersion = 1;
  vfs_.szOsFile = sizeof(Handle);
  vfs_.mxPathname = 512;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = VfsCalls::open;
  vfs_.xDelete = VfsCalls::remove;
  vfs_.xAccess = VfsCalls::access;
  vfs_.xFullPathname = VfsCalls::full_pathname;
  vfs_.xRandomness = VfsCalls::randomness;
  vfs_.xSleep = VfsCalls::sleep;
  vfs_.xCurrentTime = VfsCalls::current_time;
  vfs_.xGetLastError = VfsCalls::last_error;
  if (sqlite3_vfs_register(&vfs_, 0) != SQLITE_OK) throw std::runtime_error("sqlite3_vfs_register");
}

PowerLossVfs::~PowerLossVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

int PowerLossVfs::step() {
  if (!failed_ && ++steps_ == fail_at_) {
    failed_ = true;
    if (on_failure) on_failure();
  }
  return failed_ ? SQLITE_IOERR : SQLITE_OK;
}

void PowerLossVfs::fail_at(uint64_t step) {
  const std::lock_guard lock(mutex_);
  fail_at_ = steps_ + step;
}

void PowerLossVfs::restore(uint32_t seed) {
  const std::lock_guard lock(mutex_);
  if (open_handles_ != 0) throw std::logic_error("restore() with open files");
  std::mt19937 random(seed);
  const auto survives = [&] { return seed != 0 && (random() & 1) != 0; };
  for (auto& [path, file] : durable_) {
    Bytes data = file->synced;
    for (const Change& change : file->unsynced) {
      if (change.bytes.empty() && survives()) data.resize(change.offset);
      for (size_t at = 0; at < change.bytes.size();) {
        const size_t count = std::min(kSector - (change.offset + at) % kSector, change.bytes.size() - at);
        if (survives()) testing::apply(data, change.offset + at, change.bytes.data() + at, count);
        at += count;
      }
    }
    file->data = file->synced = std::move(data);
    file->unsynced.clear();
  }
  files_ = durable_;
  fail_at_ = 0;
  failed_ = false;
}

void PowerLossVfs::resume() {
  const std::lock_guard lock(mutex_);
  if (open_handles_ != 0) throw std::logic_error("resume() with open files");
  fail_at_ = 0;
  failed_ = false;
}

uint64_t PowerLossVfs::syncs(const std::string& suffix) const {
  const std::lock_guard lock(mutex_);
  uint64_t count = 0;
  for (const auto& [path, n] : syncs_) {
    if (path.size() >= suffix.size() && path.ends_with(suffix)) count += n;
  }
  return count;
}

bool PowerLossVfs::exists(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return files_.contains(path);
}

}  // namespace ipcs::catalog::testing
