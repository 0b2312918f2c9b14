// A backend in memory, behind the C tables, with faults that a test turns on and a check of how the host uses it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ipcs/plugin.hpp"
#include "ipcs/plugin_extensions.hpp"
#include "ipcs/store.hpp"
#include "oci/digest.hpp"

namespace ipcs::test {

using Bytes = std::vector<uint8_t>;

// A place where calls wait until the test lets them go. [thread-safe]
class Gate {
 public:
  void close() { set(false); }
  void open() { set(true); }
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  // Waits until `count` calls have come to the gate since the start; false after ten seconds.
  bool wait_for(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return arrived_ >= count; });
  }
  int arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  void set(bool open) {
    const std::lock_guard lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int arrived_ = 0;
};

// What the store holds and which faults it has. Outlives the store, so that a test can open another on the same bytes.
struct Memory {
  struct Blob {
    std::shared_ptr<const Bytes> bytes;
    int64_t created_ns = 1;
    bool root_digest = false;
  };
  struct Arriving {
    Bytes bytes;
    bool open = false;
  };

  std::mutex mutex;  // guards what is below, up to the gate
  std::map<std::string, Blob> blobs;
  std::map<std::string, Arriving> ingests;
  std::set<std::string> quarantined;
  std::map<std::string, std::string> roots;  // digest of a root that the store can prove → digest of the bytes
  bool networked = false;                    // whether it offers ipcs.locate/1
  std::map<std::string, Bytes> network;      // what look_up finds, under the digest of the root
  std::string id = "memory-1";
  bool read_only = false;
  bool full = false;
  std::optional<Code> fail_append;  // the next one; half of its bytes are kept
  std::optional<Code> fail_commit;  // the next one
  std::optional<Code> fail_open_ingest;
  bool fail_remove = false;
  size_t unreadable_tail = 0;       // bytes at the end of an ingest that reading does not give
  size_t short_reads = 0;           // bytes that one read gives at most; 0: all
  std::vector<std::string> breaches;  // of the contract, by the host

  std::atomic<size_t> readable{SIZE_MAX};  // bytes of a blob that can be read, whatever its size
  Gate commit_gate;                        // before a commit becomes visible
  // Called with the name of the function, without the mutex.
  using OnCall = std::function<void(const char*, const plugin::Call&)>;
  OnCall on_call;  // guarded by mutex
  std::function<void(const std::string& digest)> before_visible;

  void put(const std::string& digest, Bytes bytes) {
    const std::lock_guard lock(mutex);
    blobs[digest] = {std::make_shared<const Bytes>(std::move(bytes))};
  }
  void on_network(const std::string& name, Bytes bytes) {
    const std::lock_guard lock(mutex);
    network[name] = std::move(bytes);
  }
  void off_network(const std::string& name) {
    const std::lock_guard lock(mutex);
    network.erase(name);
  }
  bool has(const std::string& digest) {
    const std::lock_guard lock(mutex);
    return blobs.contains(digest);
  }
  void drop(const std::string& digest) {
    const std::lock_guard lock(mutex);
    blobs.erase(digest);
  }
  size_t ingest_count() {
    const std::lock_guard lock(mutex);
    return ingests.size();
  }
  std::vector<std::string> breaches_seen() {
    const std::lock_guard lock(mutex);
    return breaches;
  }
  void set_on_call(OnCall call_me) {
    const std::lock_guard lock(mutex);
    on_call = std::move(call_me);
  }
  void enter(const char* function, const plugin::Call& call) {
    OnCall call_me;
    {
      const std::lock_guard lock(mutex);
      call_me = on_call;
    }
    if (call_me) call_me(function, call);
  }
};

namespace memory {

inline size_t copy_out(const Bytes& from, uint64_t offset, std::span<uint8_t> out, size_t limit) {
  if (offset >= limit) return 0;
  const size_t count = std::min<size_t>(out.size(), limit - offset);
  std::copy_n(from.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
  return count;
}

class Reader final : public plugin::Reader {
 public:
  Reader(std::shared_ptr<Memory> memory, std::shared_ptr<const Bytes> bytes)
      : memory_(std::move(memory)), bytes_(std::move(bytes)) {}
  uint64_t size() noexcept override { return bytes_->size(); }
  size_t read_at(const plugin::Call&, uint64_t offset, std::span<uint8_t> out) override {
    return copy_out(*bytes_, offset, out, std::min<size_t>(bytes_->size(), memory_->readable));
  }

 private:
  const std::shared_ptr<Memory> memory_;
  std::shared_ptr<const Bytes> bytes_;
};

class Ingest final : public plugin::Ingest {
 public:
  Ingest(std::shared_ptr<Memory> memory, std::string key) : memory_(std::move(memory)), key_(std::move(key)) {}
  ~Ingest() override {
    const std::lock_guard lock(memory_->mutex);
    const auto found = memory_->ingests.find(key_);
    if (found != memory_->ingests.end()) found->second.open = false;
  }
  uint64_t size() override {
    const std::lock_guard lock(memory_->mutex);
    return held().size();
  }
  size_t read_at(const plugin::Call& call, uint64_t offset, std::span<uint8_t> out) override {
    memory_->enter("ingest.read_at", call);
    const std::lock_guard lock(memory_->mutex);
    const size_t limit = held().size() - std::min(held().size(), memory_->unreadable_tail);
    if (memory_->short_reads > 0) out = out.first(std::min(out.size(), memory_->short_reads));
    return copy_out(held(), offset, out, limit);
  }
  void append(const plugin::Call& call, std::span<const uint8_t> bytes) override {
    memory_->enter("append", call);
    const std::lock_guard lock(memory_->mutex);
    const auto fault = std::exchange(memory_->fail_append, std::nullopt);
    const auto taken = fault ? bytes.first(bytes.size() / 2) : bytes;
    held().insert(held().end(), taken.begin(), taken.end());
    if (fault) throw Error(*fault, "append: no room");
  }
  void truncate(const plugin::Call&, uint64_t size) override {
    const std::lock_guard lock(memory_->mutex);
    if (size > held().size()) memory_->breaches.push_back("truncate behind the end");
    held().resize(size);
    memory_->unreadable_tail = 0;
  }
  void commit(const plugin::Call& call, uint64_t size, std::string_view digest,
              std::string_view content_digest) override {
    memory_->enter("commit", call);
    memory_->commit_gate.pass();
    const std::string name(digest);
    {
      const std::lock_guard lock(memory_->mutex);
      if (const auto fault = std::exchange(memory_->fail_commit, std::nullopt)) throw Error(*fault, "commit: failed");
      if (size != held().size()) throw Error(Code::kFailedPrecondition, "commit: wrong size");
      const auto real = oci::Digest::of(std::span<const uint8_t>(held()), oci::Digest::parse(content_digest).algorithm());
      if (real.to_string() != content_digest) memory_->breaches.push_back("the host hashed other bytes than it sent");
      const auto root = memory_->roots.find(name);
      const bool proved = root != memory_->roots.end() && root->second == content_digest;
      if (digest != content_digest && !proved) throw Error(Code::kFailedPrecondition, "ingest " + key_ + ": wrong digest");
    }
    if (memory_->before_visible) memory_->before_visible(name);
    const std::lock_guard lock(memory_->mutex);
    auto node = memory_->ingests.extract(key_);
    if (memory_->blobs.contains(name)) throw Error(Code::kAlreadyExists, "commit: exists");
    memory_->blobs[name] = {std::make_shared<const Bytes>(std::move(node.mapped().bytes)), 1, digest != content_digest};
  }

 private:
  Bytes& held() {
    const auto found = memory_->ingests.find(key_);
    if (found == memory_->ingests.end()) throw Error(Code::kInternal, "the ingest is gone while it is open");
    return found->second.bytes;
  }
  const std::shared_ptr<Memory> memory_;
  const std::string key_;
};

class Cursor final : public plugin::Cursor {
 public:
  explicit Cursor(std::vector<plugin::Entry> entries) : entries_(std::move(entries)) {}
  std::vector<plugin::Entry> next(const plugin::Call&, size_t capacity) override {
    const size_t count = std::min(capacity, entries_.size() - at_);
    std::vector<plugin::Entry> some(entries_.begin() + static_cast<ptrdiff_t>(at_),
                                    entries_.begin() + static_cast<ptrdiff_t>(at_ + count));
    at_ += count;
    return some;
  }

 private:
  std::vector<plugin::Entry> entries_;
  size_t at_ = 0;
};

class Store : public plugin::ContentStore, public plugin::Locator {
 public:
  explicit Store(std::shared_ptr<Memory> memory) : memory_(std::move(memory)) {}

  const void* extension(std::string_view id) noexcept override {
    return memory_->networked ? plugin::extension_of<Store>(id) : nullptr;
  }
  std::string cid_of(const plugin::Call&, std::string_view digest) override {
    const std::lock_guard lock(memory_->mutex);
    find(digest);
    return "cid-of-" + std::string(digest);
  }
  plugin::Entry look_up(const plugin::Call& call, std::string_view digest) override {
    memory_->enter("look_up", call);
    const std::lock_guard lock(memory_->mutex);
    const auto found = memory_->network.find(std::string(digest));
    if (found == memory_->network.end()) throw Error(Code::kNotFound, std::string(digest) + ": nobody has it");
    memory_->blobs[found->first] = {std::make_shared<const Bytes>(found->second), 1, true};
    return {found->first, found->second.size(), 1, 1, true};
  }

  plugin::StoreInfo info(const plugin::Call& call) override {
    memory_->enter("info", call);
    const std::lock_guard lock(memory_->mutex);
    return {memory_->id, "memory", memory_->read_only, memory_->full, false, 0, 0, 0};
  }
  plugin::Entry stat_blob(const plugin::Call& call, std::string_view digest) override {
    memory_->enter("stat_blob", call);
    const std::lock_guard lock(memory_->mutex);
    const Memory::Blob& blob = find(digest);
    return {std::string(digest), blob.bytes->size(), blob.created_ns, blob.created_ns, blob.root_digest};
  }
  std::unique_ptr<plugin::Reader> open_blob(const plugin::Call& call, std::string_view digest) override {
    memory_->enter("open_blob", call);
    std::unique_ptr<Reader> reader;
    {
      const std::lock_guard lock(memory_->mutex);
      reader = std::make_unique<Reader>(memory_, find(digest).bytes);
    }
    memory_->enter("open_blob: found", call);
    return reader;
  }
  std::unique_ptr<plugin::Cursor> list_blobs(const plugin::Call&) override {
    const std::lock_guard lock(memory_->mutex);
    std::vector<plugin::Entry> entries;
    for (const auto& [name, blob] : memory_->blobs) entries.push_back({name, blob.bytes->size(), 1, 1});
    return std::make_unique<Cursor>(std::move(entries));
  }
  void remove_blob(const plugin::Call& call, std::string_view digest) override {
    memory_->enter("remove_blob", call);
    const std::lock_guard lock(memory_->mutex);
    check_writable("remove_blob");
    find(digest);
    if (memory_->fail_remove) throw Error(Code::kPermissionDenied, "remove: not allowed");
    memory_->blobs.erase(std::string(digest));
  }
  void quarantine_blob(const plugin::Call&, std::string_view digest) override {
    const std::lock_guard lock(memory_->mutex);
    check_writable("quarantine_blob");
    find(digest);
    memory_->quarantined.insert(std::string(digest));
    memory_->blobs.erase(std::string(digest));
  }
  std::unique_ptr<plugin::Ingest> open_ingest(const plugin::Call& call, std::string_view key, bool create,
                                              uint64_t) override {
    memory_->enter("open_ingest", call);
    const std::lock_guard lock(memory_->mutex);
    if (const auto fault = std::exchange(memory_->fail_open_ingest, std::nullopt)) throw Error(*fault, "store: full");
    check_writable("open_ingest");
    check_key(key);
    if (!create && !memory_->ingests.contains(std::string(key))) throw Error(Code::kNotFound, "no such ingest");
    Memory::Arriving& arriving = memory_->ingests[std::string(key)];
    if (arriving.open) memory_->breaches.push_back("an ingest was opened twice");
    arriving.open = true;
    return std::make_unique<Ingest>(memory_, std::string(key));
  }
  std::unique_ptr<plugin::Cursor> list_ingests(const plugin::Call&) override {
    const std::lock_guard lock(memory_->mutex);
    std::vector<plugin::Entry> entries;
    for (const auto& [name, arriving] : memory_->ingests) entries.push_back({name, arriving.bytes.size(), 1, 1});
    return std::make_unique<Cursor>(std::move(entries));
  }
  void discard_ingest(const plugin::Call&, std::string_view key) override {
    const std::lock_guard lock(memory_->mutex);
    check_writable("discard_ingest");
    check_key(key);
    const auto found = memory_->ingests.find(std::string(key));
    if (found == memory_->ingests.end()) throw Error(Code::kNotFound, "no such ingest");
    if (found->second.open) memory_->breaches.push_back("an open ingest was discarded");
    memory_->ingests.erase(found);
  }

 protected:
  const std::shared_ptr<Memory> memory_;

 private:
  const Memory::Blob& find(std::string_view digest) {
    const auto found = memory_->blobs.find(std::string(digest));
    if (found == memory_->blobs.end()) throw Error(Code::kNotFound, std::string(digest) + ": not found");
    return found->second;
  }
  void check_writable(const char* function) const {
    if (memory_->read_only) throw Error(Code::kFailedPrecondition, std::string(function) + ": the store is read-only");
  }
  void check_key(std::string_view key) {
    const bool clean = !key.empty() && key.size() <= IPCS_KEY_MAX &&
                       key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
    if (!clean) memory_->breaches.push_back("a key with other bytes than [a-z0-9-]");
  }
};

inline const ipcs_plugin kPlugin = {
    .magic = IPCS_ABI_MAGIC,
    .struct_size = sizeof(ipcs_plugin),
    .abi_major = IPCS_ABI_MAJOR,
    .abi_minor = IPCS_ABI_MINOR,
    .name = "memory",
    .version = "1",
    .description = "for tests",
    .build = "",
    .validate = nullptr,
    .open = nullptr,
    .store = &plugin::detail::kStoreOps,
    .reader = &plugin::detail::kReaderOps,
    .ingest = &plugin::detail::kIngestOps,
    .cursor = &plugin::detail::kCursorOps,
};

}  // namespace memory

// The host's view of a store that holds its bytes in `memory`.
template <class Kind = memory::Store>
ipcs::Store open_memory_store(std::shared_ptr<Memory> memory) {
  std::unique_ptr<plugin::ContentStore> store = std::make_unique<Kind>(std::move(memory));
  return {&memory::kPlugin, plugin::detail::release<ipcs_store>(std::move(store)), nullptr};
}

}  // namespace ipcs::test
