// The author's SDK: derive from these classes, name the plugin with IPCS_PLUGIN, and the C tables are made.
//
//   class MyStore : public ipcs::plugin::ContentStore { … };
//   IPCS_PLUGIN(MyStore, "my-store", "1.0", "keeps blobs in …")
//
// Contracts, thread rules and error codes are those of the functions of the same name in content_store.h.
// Throw ipcs::Error for an expected failure; any other exception becomes INTERNAL. Nothing leaves the plugin.
#pragma once

#ifndef IPCS_BUILD_PLUGIN
#define IPCS_BUILD_PLUGIN
#endif

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ipcs/content_store.h"
#include "ipcs/error.hpp"

namespace ipcs::plugin {

// The host's call context.
class Call {
 public:
  explicit Call(const ipcs_call* call) noexcept : call_(call) {}

  bool cancelled() const noexcept { return call_->cancelled(call_) != 0; }
  int cancel_fd() const noexcept { return call_->cancel_fd(call_); }
  bool has_deadline() const noexcept { return call_->deadline_ns != INT64_MAX; }
  // Meaningful when has_deadline().
  std::chrono::steady_clock::time_point deadline() const noexcept {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(call_->deadline_ns));
  }
  // Throws Error when the caller has gone or its time is over.
  void check() const {
    if (cancelled()) throw Error(Code::kCancelled, "cancelled");
    if (has_deadline() && std::chrono::steady_clock::now() >= deadline())
      throw Error(Code::kDeadlineExceeded, "deadline exceeded");
  }
  const ipcs_call* abi() const noexcept { return call_; }

 private:
  const ipcs_call* call_;
};

// The host's services.
class Host {
 public:
  explicit Host(const ipcs_host* host) noexcept : host_(host) {}

  // A directory for temporary files. Not in validate().
  std::string scratch_dir() const { return host_->scratch_dir != nullptr ? host_->scratch_dir : ""; }
  void log(ipcs_log_level level, std::string_view message, const Call* call = nullptr) const {
    host_->log(host_, call != nullptr ? call->abi() : nullptr, level, {message.data(), message.size()});
  }
  void count(std::string_view name, double add = 1) const {
    host_->metric(host_, {name.data(), name.size()}, IPCS_METRIC_COUNTER, add);
  }
  void gauge(std::string_view name, double value) const {
    host_->metric(host_, {name.data(), name.size()}, IPCS_METRIC_GAUGE, value);
  }
  void progress(const Call& call, std::string_view subject, uint64_t done, uint64_t total) const {
    host_->progress(host_, call.abi(), {subject.data(), subject.size()}, done, total);
  }
  const ipcs_host* abi() const noexcept { return host_; }

 private:
  const ipcs_host* host_;
};

// A blob or an ingest. `name` is its digest or key.
struct Entry {
  std::string name;
  uint64_t size = 0;
  int64_t created_ns = 0;
  int64_t modified_ns = 0;
  bool root_digest = false;  // of a blob: IPCS_ENTRY_ROOT_DIGEST
};

// What the store says of itself.
struct StoreInfo {
  std::string id;        // at most 63 bytes
  std::string location;  // cut to 255 bytes
  bool read_only = false;
  bool full = false;
  bool local = false;    // reads wait for a local disk at most, never for a network
  uint64_t used_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t quota_bytes = 0;
};

// An opened blob.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual uint64_t size() noexcept = 0;
  virtual size_t read_at(const Call& call, uint64_t offset, std::span<uint8_t> out) = 0;
  virtual size_t read_cached(uint64_t /*offset*/, std::span<uint8_t> /*out*/) noexcept { return 0; }
};

// Bytes that are still arriving.
class Ingest {
 public:
  virtual ~Ingest() = default;
  virtual uint64_t size() = 0;
  virtual size_t read_at(const Call& call, uint64_t offset, std::span<uint8_t> out) = 0;
  virtual void append(const Call& call, std::span<const uint8_t> bytes) = 0;
  virtual void truncate(const Call& call, uint64_t size) = 0;
  virtual void commit(const Call& call, uint64_t size, std::string_view digest, std::string_view content_digest) = 0;
};

// A listing under way.
class Cursor {
 public:
  virtual ~Cursor() = default;
  // The next entries, at most `capacity`; none when the listing is over.
  virtual std::vector<Entry> next(const Call& call, size_t capacity) = 0;
};

// A backend. Besides these functions the class has two static ones, which IPCS_PLUGIN uses:
//   static void validate(const Host& host, std::string_view config_json);
//   static std::unique_ptr<ContentStore> open(const Host& host, const Call& call, std::string_view config_json,
//                                             bool read_only);
class ContentStore {
 public:
  virtual ~ContentStore() = default;
  virtual StoreInfo info(const Call& call) = 0;
  virtual Entry stat_blob(const Call& call, std::string_view digest) = 0;  // throws kNotFound
  virtual std::unique_ptr<Reader> open_blob(const Call& call, std::string_view digest) = 0;
  virtual std::unique_ptr<Cursor> list_blobs(const Call& call) = 0;
  virtual void remove_blob(const Call& call, std::string_view digest) = 0;
  virtual void quarantine_blob(const Call& call, std::string_view digest) { remove_blob(call, digest); }
  virtual std::unique_ptr<Ingest> open_ingest(const Call& call, std::string_view key, bool create,
                                              uint64_t expected_size) = 0;
  virtual std::unique_ptr<Cursor> list_ingests(const Call& call) = 0;
  virtual void discard_ingest(const Call& call, std::string_view key) = 0;
  virtual const void* extension(std::string_view /*id*/) noexcept { return nullptr; }
};

namespace detail {

inline std::string_view view(ipcs_str s) noexcept { return {s.data, s.size}; }

// Runs `body`; what it throws becomes a status.
template <class Body>
int32_t guard(ipcs_status* status, Body&& body) noexcept {
  try {
    body();
    return IPCS_OK;
  } catch (const Error& e) {
    return fill_status(status, e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return fill_status(status, Code::kResourceExhausted, "out of memory");
  } catch (const std::exception& e) {
    return fill_status(status, Code::kInternal, e.what());
  } catch (...) {
    return fill_status(status, Code::kInternal, "an exception of unknown type");
  }
}

// Objects behind the ABI's opaque handles.
template <class T, class Handle>
T& as(Handle* handle) noexcept {
  return *reinterpret_cast<T*>(handle);
}
template <class Handle, class T>
Handle* release(std::unique_ptr<T> object) noexcept {
  return reinterpret_cast<Handle*>(object.release());
}
template <class T, class Handle>
void destroy(Handle* handle) noexcept {
  delete reinterpret_cast<T*>(handle);
}

inline void write_entry(const Entry& entry, ipcs_entry* out) {
  if (entry.name.size() > sizeof out->name) throw Error(Code::kInternal, entry.name + ": longer than IPCS_NAME_MAX");
  *out = ipcs_entry{};
  out->size = entry.size;
  out->created_ns = entry.created_ns;
  out->modified_ns = entry.modified_ns;
  out->flags = entry.root_digest ? uint32_t{IPCS_ENTRY_ROOT_DIGEST} : 0u;
  out->name_size = static_cast<uint32_t>(entry.name.size());
  std::memcpy(out->name, entry.name.data(), entry.name.size());
}

inline void copy_text(const std::string& text, char* out, size_t capacity) noexcept {
  const size_t size = std::min(text.size(), capacity - 1);
  std::memcpy(out, text.data(), size);
  out[size] = 0;
}

inline void write_info(const StoreInfo& info, ipcs_store_info* out) {
  ipcs_store_info full{};
  full.struct_size = out->struct_size;
  full.flags = (info.read_only ? uint32_t{IPCS_STORE_READ_ONLY} : 0u) | (info.full ? uint32_t{IPCS_STORE_FULL} : 0u) |
               (info.local ? uint32_t{IPCS_STORE_LOCAL} : 0u);
  copy_text(info.id, full.id, sizeof full.id);
  copy_text(info.location, full.location, sizeof full.location);
  full.used_bytes = info.used_bytes;
  full.free_bytes = info.free_bytes;
  full.quota_bytes = info.quota_bytes;
  std::memcpy(out, &full, std::min<size_t>(out->struct_size, sizeof full));
}

inline constexpr ipcs_store_ops kStoreOps = {
    .struct_size = sizeof(ipcs_store_ops),
    .reserved = 0,
    .close = [](ipcs_store* s) { destroy<ContentStore>(s); },
    .info = [](ipcs_store* s, const ipcs_call* c, ipcs_store_info* out, ipcs_status* st) {
      return guard(st, [&] { write_info(as<ContentStore>(s).info(Call(c)), out); });
    },
    .stat_blob = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_entry* out, ipcs_status* st) {
      return guard(st, [&] { write_entry(as<ContentStore>(s).stat_blob(Call(c), view(digest)), out); });
    },
    .open_blob = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_reader** out, ipcs_status* st) {
      return guard(st, [&] { *out = release<ipcs_reader>(as<ContentStore>(s).open_blob(Call(c), view(digest))); });
    },
    .list_blobs = [](ipcs_store* s, const ipcs_call* c, ipcs_cursor** out, ipcs_status* st) {
      return guard(st, [&] { *out = release<ipcs_cursor>(as<ContentStore>(s).list_blobs(Call(c))); });
    },
    .remove_blob = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_status* st) {
      return guard(st, [&] { as<ContentStore>(s).remove_blob(Call(c), view(digest)); });
    },
    .open_ingest = [](ipcs_store* s, const ipcs_call* c, ipcs_str key, uint32_t flags, uint64_t expected_size,
                      ipcs_ingest** out, ipcs_status* st) {
      return guard(st, [&] {
        const bool create = (flags & IPCS_INGEST_CREATE) != 0;
        *out = release<ipcs_ingest>(as<ContentStore>(s).open_ingest(Call(c), view(key), create, expected_size));
      });
    },
    .list_ingests = [](ipcs_store* s, const ipcs_call* c, ipcs_cursor** out, ipcs_status* st) {
      return guard(st, [&] { *out = release<ipcs_cursor>(as<ContentStore>(s).list_ingests(Call(c))); });
    },
    .discard_ingest = [](ipcs_store* s, const ipcs_call* c, ipcs_str key, ipcs_status* st) {
      return guard(st, [&] { as<ContentStore>(s).discard_ingest(Call(c), view(key)); });
    },
    .extension = [](ipcs_store* s, const char* id) { return as<ContentStore>(s).extension(id); },
    .quarantine_blob = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_status* st) {
      return guard(st, [&] { as<ContentStore>(s).quarantine_blob(Call(c), view(digest)); });
    },
};

inline constexpr ipcs_reader_ops kReaderOps = {
    .struct_size = sizeof(ipcs_reader_ops),
    .reserved = 0,
    .close = [](ipcs_reader* r) { destroy<Reader>(r); },
    .size = [](ipcs_reader* r) { return as<Reader>(r).size(); },
    .read_at = [](ipcs_reader* r, const ipcs_call* c, uint64_t offset, ipcs_span out, size_t* count, ipcs_status* st) {
      return guard(st, [&] { *count = as<Reader>(r).read_at(Call(c), offset, {out.data, out.size}); });
    },
    .read_cached = [](ipcs_reader* r, uint64_t offset, ipcs_span out) {
      return as<Reader>(r).read_cached(offset, {out.data, out.size});
    },
};

inline constexpr ipcs_ingest_ops kIngestOps = {
    .struct_size = sizeof(ipcs_ingest_ops),
    .reserved = 0,
    .close = [](ipcs_ingest* i) { destroy<Ingest>(i); },
    .size = [](ipcs_ingest* i, uint64_t* out, ipcs_status* st) {
      return guard(st, [&] { *out = as<Ingest>(i).size(); });
    },
    .read_at = [](ipcs_ingest* i, const ipcs_call* c, uint64_t offset, ipcs_span out, size_t* count, ipcs_status* st) {
      return guard(st, [&] { *count = as<Ingest>(i).read_at(Call(c), offset, {out.data, out.size}); });
    },
    .append = [](ipcs_ingest* i, const ipcs_call* c, ipcs_bytes bytes, ipcs_status* st) {
      return guard(st, [&] { as<Ingest>(i).append(Call(c), {bytes.data, bytes.size}); });
    },
    .truncate = [](ipcs_ingest* i, const ipcs_call* c, uint64_t size, ipcs_status* st) {
      return guard(st, [&] { as<Ingest>(i).truncate(Call(c), size); });
    },
    .commit = [](ipcs_ingest* i, const ipcs_call* c, uint64_t size, ipcs_str digest, ipcs_str content_digest,
                 ipcs_status* st) {
      return guard(st, [&] { as<Ingest>(i).commit(Call(c), size, view(digest), view(content_digest)); });
    },
};

inline constexpr ipcs_cursor_ops kCursorOps = {
    .struct_size = sizeof(ipcs_cursor_ops),
    .reserved = 0,
    .close = [](ipcs_cursor* c) { destroy<Cursor>(c); },
    .next = [](ipcs_cursor* cursor, const ipcs_call* c, ipcs_entry* out, size_t capacity, size_t* count,
               ipcs_status* st) {
      return guard(st, [&] {
        const std::vector<Entry> entries = as<Cursor>(cursor).next(Call(c), capacity);
        if (entries.size() > capacity) throw Error(Code::kInternal, "a cursor returned more than it was asked for");
        for (size_t i = 0; i < entries.size(); ++i) write_entry(entries[i], out + i);
        *count = entries.size();
      });
    },
};

template <class Store>
int32_t validate(const ipcs_host* host, ipcs_str config, ipcs_status* st) noexcept {
  return guard(st, [&] { Store::validate(Host(host), view(config)); });
}
template <class Store>
int32_t open(const ipcs_host* host, const ipcs_call* call, ipcs_str config, uint32_t flags, ipcs_store** out,
             ipcs_status* st) noexcept {
  return guard(st, [&] {
    std::unique_ptr<ContentStore> store =
        Store::open(Host(host), Call(call), view(config), (flags & IPCS_OPEN_READ_ONLY) != 0);
    *out = release<ipcs_store>(std::move(store));
  });
}

}  // namespace detail
}  // namespace ipcs::plugin

#if defined(_LIBCPP_VERSION)
#define IPCS_STANDARD_LIBRARY "libc++"
#else
#define IPCS_STANDARD_LIBRARY "libstdc++"
#endif

// Exports `Store` as the plugin `plugin_name`. Use it once, outside any namespace; the texts are literals.
#define IPCS_PLUGIN(Store, plugin_name, plugin_version, plugin_description)                        \
  extern "C" constinit const ipcs_plugin ipcs_content_store_v1 = {                                 \
      .magic = IPCS_ABI_MAGIC,                                                                     \
      .struct_size = sizeof(ipcs_plugin),                                                          \
      .abi_major = IPCS_ABI_MAJOR,                                                                 \
      .abi_minor = IPCS_ABI_MINOR,                                                                 \
      .name = plugin_name,                                                                         \
      .version = plugin_version,                                                                   \
      .description = plugin_description,                                                           \
      .build = __VERSION__ ", " IPCS_STANDARD_LIBRARY,                                             \
      .validate = ipcs::plugin::detail::validate<Store>,                                           \
      .open = ipcs::plugin::detail::open<Store>,                                                   \
      .store = &ipcs::plugin::detail::kStoreOps,                                                   \
      .reader = &ipcs::plugin::detail::kReaderOps,                                                 \
      .ingest = &ipcs::plugin::detail::kIngestOps,                                                 \
      .cursor = &ipcs::plugin::detail::kCursorOps,                                                 \
  };
