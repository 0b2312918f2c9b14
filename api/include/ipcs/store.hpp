// The host's view of an opened backend: RAII objects over the C tables. No std type crosses the border.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipcs/content_store.h"
#include "ipcs/error.hpp"

namespace ipcs {

inline ipcs_str to_abi(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline ipcs_bytes to_abi(std::span<const uint8_t> bytes) noexcept { return {bytes.data(), bytes.size()}; }
inline ipcs_span to_abi(std::span<uint8_t> memory) noexcept { return {memory.data(), memory.size()}; }

// The circumstances of one request: deadline, cancellation, trace. Not copyable; outlives the calls that it
// is given to. cancel() may be called from any thread.
class Call {
 public:
  using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC in libstdc++ and libc++

  Call() noexcept {
    call_.struct_size = sizeof call_;
    call_.deadline_ns = INT64_MAX;
    call_.host_data = this;
    call_.cancelled = [](const ipcs_call* c) { return static_cast<int32_t>(self(c).cancelled()); };
    call_.cancel_fd = [](const ipcs_call* c) { return self(c).cancel_fd(); };
  }
  explicit Call(Clock::time_point deadline) noexcept : Call() { set_deadline(deadline); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    const int fd = fd_.load();
    if (fd >= 0) ::close(fd);
  }

  // Before the call is given to anybody.
  void set_deadline(Clock::time_point deadline) noexcept {
    call_.deadline_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  }
  // W3C trace context: 16 and 8 bytes.
  void set_trace(std::span<const uint8_t, 16> trace_id, std::span<const uint8_t, 8> span_id) noexcept {
    std::copy(trace_id.begin(), trace_id.end(), call_.trace_id);
    std::copy(span_id.begin(), span_id.end(), call_.span_id);
  }

  // Tells the callee to give up. [thread-safe]
  void cancel() noexcept {
    cancelled_.store(true);
    const int fd = fd_.load();
    const uint64_t one = 1;
    if (fd >= 0 && ::write(fd, &one, sizeof one) < 0) {
      // The counter can't be full after one write, and a poller sees cancelled_ all the same.
    }
  }
  bool cancelled() const noexcept { return cancelled_.load(); }

  // Who is told how far the callee is (`done` of `total` bytes of `subject`, total 0: not known), on any thread, until the
  // call has returned. Before the call is given to anybody.
  using Progress = std::function<void(std::string_view subject, uint64_t done, uint64_t total)>;
  void set_progress(Progress progress) { progress_ = std::move(progress); }
  // For the host table: passes on what a plugin says of `call`, which is null or a Call's.
  static void report(const ipcs_call* call, std::string_view subject, uint64_t done, uint64_t total) {
    if (call != nullptr && self(call).progress_) self(call).progress_(subject, done, total);
  }

  const ipcs_call* abi() const noexcept { return &call_; }

 private:
  static Call& self(const ipcs_call* c) noexcept { return *static_cast<Call*>(c->host_data); }

  int cancel_fd() noexcept {
    int fd = fd_.load();
    if (fd >= 0) return fd;
    const int fresh = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fresh < 0) return -1;
    if (!fd_.compare_exchange_strong(fd, fresh)) {
      ::close(fresh);
      return fd;
    }
    if (cancelled()) cancel();  // it came between the two: the new descriptor must tell
    return fresh;
  }

  ipcs_call call_{};
  std::atomic<bool> cancelled_{false};
  std::atomic<int> fd_{-1};
  Progress progress_;
};

// A blob or an ingest as a listing reports it.
struct Entry {
  std::string name;  // digest or key
  uint64_t size = 0;
  int64_t created_ns = 0;   // since 1970 UTC, 0: not known
  int64_t modified_ns = 0;
  bool root_digest = false;  // the digest is that of the root of a DAG over the bytes; the backend checks it
};

// What a store says of itself.
struct StoreInfo {
  std::string id;
  std::string location;
  bool read_only = false;
  bool full = false;
  bool local = false;  // reads wait for a local disk at most
  uint64_t used_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t quota_bytes = 0;  // 0: none
};

namespace detail {

// Owns one foreign handle together with the table that serves it.
template <class Handle, class Ops>
class Owned {
 public:
  Owned() = default;
  Owned(const Ops* ops, Handle* handle) noexcept : ops_(ops), handle_(handle) {}
  Owned(Owned&& other) noexcept : ops_(other.ops_), handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() { reset(); }

  void reset() noexcept {
    if (handle_ != nullptr) ops_->close(std::exchange(handle_, nullptr));
  }
  explicit operator bool() const noexcept { return handle_ != nullptr; }
  const Ops* operator->() const noexcept { return ops_; }
  Handle* get() const noexcept { return handle_; }

 private:
  const Ops* ops_ = nullptr;
  Handle* handle_ = nullptr;
};

inline void check(int32_t code, const ipcs_status& status) {
  if (code != IPCS_OK) throw error_from(code, status);
}

inline Entry to_entry(const ipcs_entry& e) {
  const size_t size = e.name_size <= sizeof e.name ? e.name_size : sizeof e.name;
  return {std::string(e.name, size), e.size, e.created_ns, e.modified_ns, (e.flags & IPCS_ENTRY_ROOT_DIGEST) != 0};
}

// Whether a table that says it is `table->struct_size` bytes long holds `member`.
#define IPCS_HAS(table, member)                                                                          \
  ((table)->struct_size >= offsetof(std::remove_cvref_t<decltype(*(table))>, member) + sizeof((table)->member) && \
   (table)->member != nullptr)

}  // namespace detail

// An opened blob. Movable; read_at may be called from many threads at once. Must go before its Store does.
class BlobReader {
 public:
  BlobReader(const ipcs_reader_ops* ops, ipcs_reader* reader) noexcept : reader_(ops, reader) {}

  uint64_t size() const noexcept { return reader_->size(reader_.get()); }

  // Reads from byte `offset` on; returns how many bytes, less than out.size() only where the blob ends.
  // Throws Error, kDataLoss where bytes are missing or wrong.
  size_t read_at(const Call& call, uint64_t offset, std::span<uint8_t> out) const {
    ipcs_status status;
    size_t count = 0;
    detail::check(reader_->read_at(reader_.get(), call.abi(), offset, to_abi(out), &count, &status), status);
    if (count > out.size()) throw Error(Code::kInternal, "the backend says that it read more than it was asked for");
    return count;
  }

  // As read_at, without waiting: fills the beginning of `out` with what is at hand in memory and returns how much that
  // is, which may be nothing. 0 where the plugin is older than ABI 1.1.
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) const noexcept {
    if (!IPCS_HAS(reader_.operator->(), read_cached)) return 0;
    const size_t count = reader_->read_cached(reader_.get(), offset, to_abi(out));
    return count <= out.size() ? count : 0;
  }

 private:
  detail::Owned<ipcs_reader, ipcs_reader_ops> reader_;
};

// Bytes that are still arriving. Movable; one thread at a time. Closing keeps them.
class Ingest {
 public:
  Ingest(const ipcs_ingest_ops* ops, ipcs_ingest* ingest) noexcept : ingest_(ops, ingest) {}

  uint64_t size() const {
    ipcs_status status;
    uint64_t out = 0;
    detail::check(ingest_->size(ingest_.get(), &out, &status), status);
    return out;
  }
  // As BlobReader::read_at.
  size_t read_at(const Call& call, uint64_t offset, std::span<uint8_t> out) const {
    ipcs_status status;
    size_t count = 0;
    detail::check(ingest_->read_at(ingest_.get(), call.abi(), offset, to_abi(out), &count, &status), status);
    if (count > out.size()) throw Error(Code::kInternal, "the backend says that it read more than it was asked for");
    return count;
  }
  // Adds all of `bytes`. After an Error a prefix of them may have been added: size() tells.
  void append(const Call& call, std::span<const uint8_t> bytes) {
    ipcs_status status;
    detail::check(ingest_->append(ingest_.get(), call.abi(), to_abi(bytes), &status), status);
  }
  // Keeps the first `size` bytes.
  void truncate(const Call& call, uint64_t size) {
    ipcs_status status;
    detail::check(ingest_->truncate(ingest_.get(), call.abi(), size, &status), status);
  }
  // Makes the bytes the blob `digest`, durable and visible. Throws Error: kAlreadyExists (the ingest is gone),
  // kFailedPrecondition and others (the ingest stays).
  void commit(const Call& call, uint64_t size, std::string_view digest, std::string_view content_digest) {
    ipcs_status status;
    detail::check(ingest_->commit(ingest_.get(), call.abi(), size, to_abi(digest), to_abi(content_digest), &status),
                  status);
  }

 private:
  detail::Owned<ipcs_ingest, ipcs_ingest_ops> ingest_;
};

// A listing under way. Movable; one thread at a time.
class Cursor {
 public:
  Cursor(const ipcs_cursor_ops* ops, ipcs_cursor* cursor) noexcept : cursor_(ops, cursor) {}

  // The next entries, none when the listing is over.
  std::vector<Entry> next(const Call& call, size_t capacity = 256) {
    ipcs_status status;
    size_t count = 0;
    buffer_.resize(capacity);
    detail::check(cursor_->next(cursor_.get(), call.abi(), buffer_.data(), capacity, &count, &status), status);
    if (count > capacity) throw Error(Code::kInternal, "the backend says that it listed more than it was asked for");
    std::vector<Entry> entries;
    entries.reserve(count);
    for (size_t i = 0; i < count; ++i) entries.push_back(detail::to_entry(buffer_[i]));
    return entries;
  }

 private:
  detail::Owned<ipcs_cursor, ipcs_cursor_ops> cursor_;
  std::vector<ipcs_entry> buffer_;
};

// An opened backend. Can be moved to a new object; all functions may run on many threads at once. Throws Error unless a function
// says otherwise. `owner` is kept alive as long as the store: the loaded plugin and the host table.
class Store {
 public:
  Store(const ipcs_plugin* plugin, ipcs_store* store, std::shared_ptr<const void> owner) noexcept
      : owner_(std::move(owner)), plugin_(plugin), store_(plugin->store, store) {}
  Store(Store&&) noexcept = default;
  Store& operator=(Store&&) = delete;  // member by member the owner would go before the store that needs it

  const ipcs_plugin& plugin() const noexcept { return *plugin_; }
  const ipcs_store_ops* ops() const noexcept { return plugin_->store; }
  ipcs_store* handle() const noexcept { return store_.get(); }  // for the functions of an extension's table

  StoreInfo info(const Call& call) const {
    ipcs_status status;
    ipcs_store_info raw{};
    raw.struct_size = sizeof raw;
    detail::check(store_->info(store_.get(), call.abi(), &raw, &status), status);
    raw.id[sizeof raw.id - 1] = 0;
    raw.location[sizeof raw.location - 1] = 0;
    const auto has = [&](uint32_t flag) { return (raw.flags & flag) != 0; };
    return {raw.id,         raw.location,   has(IPCS_STORE_READ_ONLY), has(IPCS_STORE_FULL), has(IPCS_STORE_LOCAL),
            raw.used_bytes, raw.free_bytes, raw.quota_bytes};
  }
  // Nothing when there is no such blob.
  std::optional<Entry> stat_blob(const Call& call, std::string_view digest) const {
    ipcs_status status;
    ipcs_entry raw{};
    const int32_t code = store_->stat_blob(store_.get(), call.abi(), to_abi(digest), &raw, &status);
    if (code == IPCS_NOT_FOUND) return std::nullopt;
    detail::check(code, status);
    return detail::to_entry(raw);
  }
  BlobReader open_blob(const Call& call, std::string_view digest) const {
    ipcs_status status;
    ipcs_reader* reader = nullptr;
    detail::check(store_->open_blob(store_.get(), call.abi(), to_abi(digest), &reader, &status), status);
    return {plugin_->reader, reader};
  }
  Cursor list_blobs(const Call& call) const {
    ipcs_status status;
    ipcs_cursor* cursor = nullptr;
    detail::check(store_->list_blobs(store_.get(), call.abi(), &cursor, &status), status);
    return {plugin_->cursor, cursor};
  }
  // Says whether there was one.
  bool remove_blob(const Call& call, std::string_view digest) {
    ipcs_status status;
    return removed(store_->remove_blob(store_.get(), call.abi(), to_abi(digest), &status), status);
  }
  // Says whether there was one. Removes it where the plugin is older than ABI 1.1.
  bool quarantine_blob(const Call& call, std::string_view digest) {
    if (!IPCS_HAS(ops(), quarantine_blob)) return remove_blob(call, digest);
    ipcs_status status;
    return removed(store_->quarantine_blob(store_.get(), call.abi(), to_abi(digest), &status), status);
  }
  // Opens the ingest `key`, made when there is none and `create`. `expected_size` in bytes, 0: not known.
  Ingest open_ingest(const Call& call, std::string_view key, bool create, uint64_t expected_size) {
    ipcs_status status;
    ipcs_ingest* ingest = nullptr;
    detail::check(store_->open_ingest(store_.get(), call.abi(), to_abi(key), create ? uint32_t{IPCS_INGEST_CREATE} : 0u,
                                      expected_size, &ingest, &status),
                  status);
    return {plugin_->ingest, ingest};
  }
  Cursor list_ingests(const Call& call) const {
    ipcs_status status;
    ipcs_cursor* cursor = nullptr;
    detail::check(store_->list_ingests(store_.get(), call.abi(), &cursor, &status), status);
    return {plugin_->cursor, cursor};
  }
  // Says whether there was one.
  bool discard_ingest(const Call& call, std::string_view key) {
    ipcs_status status;
    return removed(store_->discard_ingest(store_.get(), call.abi(), to_abi(key), &status), status);
  }
  // The table of an optional feature, or null; store_extensions.hpp has a class for each.
  const void* extension(const char* id) const noexcept { return store_->extension(store_.get(), id); }

 private:
  static bool removed(int32_t code, const ipcs_status& status) {
    if (code == IPCS_NOT_FOUND) return false;
    detail::check(code, status);
    return true;
  }

  std::shared_ptr<const void> owner_;  // before store_: goes after it
  const ipcs_plugin* plugin_;
  detail::Owned<ipcs_store, ipcs_store_ops> store_;
};

}  // namespace ipcs
