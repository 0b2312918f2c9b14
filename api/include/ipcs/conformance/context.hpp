// What a conformance case works with: the opened store, fresh bytes, and checks that throw.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipcs/content_store.h"
#include "ipcs/error.hpp"
#include "ipcs/store.hpp"

namespace ipcs::conformance {

using Bytes = std::vector<uint8_t>;

// What a backend is declared not to do, and how hard to try it.
struct Quirks {
  bool durable = true;             // blobs and ingests are still there after close and open
  bool read_only = true;           // can be opened with IPCS_OPEN_READ_ONLY
  uint64_t large_blob = 24 << 20;  // bytes of the largest blob that is tried
  size_t many_ingests = 300;       // how many are held open at once
};

// The plugin under test and how to open it.
struct Subject {
  const ipcs_plugin* plugin = nullptr;
  std::shared_ptr<const void> owner;  // keeps the plugin loaded; may be null
  std::string config_json;            // passes validate(); names a store that the suite may write to
  std::string other_config_json;      // of a second store, or empty
  std::string scratch_dir;            // an empty directory
  // The digest of bytes as "<algorithm>:<hex>"; algorithm is "sha256" or "sha512".
  std::function<std::string(std::string_view algorithm, std::span<const uint8_t>)> digest;
  Quirks quirks;
};

// Thrown by a case that has found the plugin wrong.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown by a case that the plugin need not pass.
class NotOffered : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const std::string& message) {
  if (!condition) throw Failure(message);
}
template <class A, class B>
void require_equal(const A& found, const B& wanted, const std::string& what) {
  if (!(found == wanted))
    throw Failure(what + ": is " + std::to_string(found) + ", should be " + std::to_string(wanted));
}

// Runs `body`, which must throw Error with one of `codes`; returns its message.
inline std::string require_error(std::vector<Code> codes, const std::string& what, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message.find('\n') == std::string_view::npos,
            what + ": the message is not one line of text");
    if (std::find(codes.begin(), codes.end(), error.code()) != codes.end()) return error.what();
    throw Failure(what + ": " + code_name(error.code()) + " (" + error.what() + "), should be " +
                  code_name(codes.front()));
  }
  throw Failure(what + ": succeeded, should be " + code_name(codes.front()));
}

// A host that keeps the log to itself and has no extensions.
class QuietHost {
 public:
  explicit QuietHost(std::string scratch_dir) : scratch_dir_(std::move(scratch_dir)) {
    table_.struct_size = sizeof table_;
    table_.abi_major = IPCS_ABI_MAJOR;
    table_.abi_minor = IPCS_ABI_MINOR;
    table_.name = "conformance";
    table_.version = "1";
    table_.scratch_dir = scratch_dir_.c_str();
    table_.log = [](const ipcs_host*, const ipcs_call*, int32_t, ipcs_str) {};
    table_.metric = [](const ipcs_host*, ipcs_str, int32_t, double) {};
    table_.progress = [](const ipcs_host*, const ipcs_call*, ipcs_str, uint64_t, uint64_t) {};
    table_.extension = [](const ipcs_host*, const char*) -> const void* { return nullptr; };
  }
  QuietHost(const QuietHost&) = delete;
  QuietHost& operator=(const QuietHost&) = delete;
  const ipcs_host* table() const noexcept { return &table_; }

 private:
  std::string scratch_dir_;
  ipcs_host table_{};
};

// One case's store, opened through the C ABI. One thread, unless a function says otherwise.
class Context {
 public:
  explicit Context(const Subject& subject) : subject_(subject), host_(subject.scratch_dir) {
    std::random_device device;
    seed_ = uint64_t{device()} << 32 | device();
    open(0);
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const Subject& subject() const noexcept { return subject_; }
  const ipcs_host* host() const noexcept { return host_.table(); }
  const Call& call() const noexcept { return call_; }
  Store& store() { return *store_; }
  ipcs_store* raw_store() noexcept { return raw_; }  // the same, as the ABI has it

  void close() { store_.reset(); }
  void open(uint32_t flags) { store_.emplace(open_with(subject_.config_json, flags, &raw_)); }
  // Closes the store and opens it again; a case about what survives that.
  void reopen(uint32_t flags = 0) {
    if (!subject_.quirks.durable) throw NotOffered("the backend is declared not durable");
    close();
    open(flags);
  }
  Store open_with(const std::string& config_json, uint32_t flags, ipcs_store** raw = nullptr) {
    ipcs_status status;
    ipcs_store* store = nullptr;
    const ipcs_str config = to_abi(config_json);
    detail::check(subject_.plugin->open(host(), call_.abi(), config, flags, &store, &status), status);
    require(store != nullptr, "open: succeeded without a store");
    if (raw != nullptr) *raw = store;
    return Store(subject_.plugin, store, subject_.owner);
  }

  // `size` bytes that no other call has given. [thread-safe]
  Bytes bytes(size_t size) {
    uint64_t state = next_seed();
    Bytes out(size);
    for (size_t i = 0; i < size; i += 8) {
      uint64_t z = (state += 0x9e3779b97f4a7c15);  // splitmix64
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      z ^= z >> 31;
      for (size_t j = 0; j < 8 && i + j < size; ++j) out[i + j] = static_cast<uint8_t>(z >> (8 * j));
    }
    return out;
  }
  std::string digest(std::span<const uint8_t> bytes, std::string_view algorithm = "sha256") const {
    return subject_.digest(algorithm, bytes);
  }
  // The digest of bytes that no store has.
  std::string unknown_digest() { return digest(bytes(32)); }
  // A key that no other call has given; its ingest is discarded at the end. [thread-safe]
  std::string key() {
    std::string key = "conformance-" + std::to_string(next_seed());
    const std::lock_guard lock(mutex_);
    keys_.push_back(key);
    return key;
  }
  // Has the blob removed at the end. [thread-safe]
  void remove_later(const std::string& digest) {
    const std::lock_guard lock(mutex_);
    digests_.push_back(digest);
  }

  // Makes an open ingest that holds `bytes`. [thread-safe]
  Ingest ingest(const std::string& key, std::span<const uint8_t> bytes) {
    Ingest made = store().open_ingest(call_, key, true, bytes.size());
    for (size_t done = 0; done < bytes.size();) {
      const size_t step = std::min<size_t>(bytes.size() - done, 1 << 20);
      made.append(call_, bytes.subspan(done, step));
      done += step;
    }
    return made;
  }
  // Makes `bytes` a blob, returns its digest. [thread-safe]
  std::string put(std::span<const uint8_t> bytes, std::string_view algorithm = "sha256") {
    const std::string name = digest(bytes, algorithm);
    remove_later(name);
    ingest(key(), bytes).commit(call_, bytes.size(), name, name);
    return name;
  }
  // All bytes of a reader or an ingest, read in pieces of `step`.
  template <class Source>
  Bytes read(const Source& source, size_t step = 1 << 20) const {
    Bytes out;
    Bytes piece(step);
    for (;;) {
      const size_t count = source.read_at(call_, out.size(), piece);
      out.insert(out.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
      if (count < step) return out;
    }
  }
  // Fails unless the blob is there with exactly these bytes. [thread-safe]
  void require_blob(const std::string& digest, const Bytes& bytes) {
    const auto entry = store().stat_blob(call_, digest);
    require(entry.has_value(), digest + ": stat_blob does not find it");
    require_equal(entry->size, bytes.size(), digest + ": size of stat_blob");
    const BlobReader reader = store().open_blob(call_, digest);
    require_equal(reader.size(), bytes.size(), digest + ": size of the reader");
    require(read(reader) == bytes, digest + ": other bytes than were committed");
  }
  // Fails if anything shows the blob. [thread-safe]
  void require_no_blob(const std::string& digest) {
    require(!store().stat_blob(call_, digest), digest + ": stat_blob finds it");
    require_error({Code::kNotFound}, digest + ": open_blob", [&] { store().open_blob(call_, digest); });
  }
  // All entries of a listing that is asked for `capacity` of them at a time; `between` runs after each step. Fails as
  // soon as a name comes twice, so that a listing without an end fails too.
  std::vector<Entry> list(Cursor cursor, size_t capacity = 256, const std::function<void()>& between = {}) const {
    std::vector<Entry> all;
    std::set<std::string> names;
    for (auto some = cursor.next(call_, capacity); !some.empty(); some = cursor.next(call_, capacity)) {
      for (const Entry& entry : some) {
        require(names.insert(entry.name).second, entry.name + ": listed twice");
        all.push_back(entry);
      }
      if (between) between();
    }
    require(cursor.next(call_, capacity).empty(), "a cursor that was at its end goes on");
    return all;
  }

  // Removes what the case made, where the store is open for it.
  void clean_up() {
    if (!store_) open(0);
    if (store_->info(call_).read_only) {
      close();
      open(0);
    }
    for (const std::string& key : keys_) store_->discard_ingest(call_, key);
    for (const std::string& digest : digests_) store_->remove_blob(call_, digest);
  }

 private:
  uint64_t next_seed() {
    const std::lock_guard lock(mutex_);
    return seed_ += 0xd1342543de82ef95;
  }

  const Subject& subject_;
  QuietHost host_;
  Call call_;
  std::optional<Store> store_;
  ipcs_store* raw_ = nullptr;
  std::mutex mutex_;
  uint64_t seed_ = 0;
  std::vector<std::string> keys_;
  std::vector<std::string> digests_;
};

// A named promise and how to try it.
struct Case {
  const char* name;
  void (*run)(Context&);
};

// How often `name` is among `entries`.
inline size_t count_of(const std::vector<Entry>& entries, const std::string& name) {
  return static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.name == name; }));
}

}  // namespace ipcs::conformance
