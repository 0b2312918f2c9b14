// A complete storage plugin: blobs and ingests in memory, gone when the store is closed.
#include <algorithm>
#include <map>
#include <mutex>
#include <random>

#include "ipcs/plugin.hpp"

namespace {
using namespace ipcs::plugin;
using ipcs::Code;
using ipcs::Error;
using Bytes = std::vector<uint8_t>;

size_t copy_out(const Bytes& bytes, uint64_t offset, std::span<uint8_t> out) {
  if (offset >= bytes.size()) return 0;
  const size_t count = std::min(out.size(), bytes.size() - static_cast<size_t>(offset));
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
  return count;
}

template <class Map>  // of names to shared bytes
auto& find(Map& map, std::string_view name) {
  const auto found = map.find(name);
  if (found == map.end()) throw Error(Code::kNotFound, std::string(name) + ": not found");
  return found->second;
}

struct Tables {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Bytes>, std::less<>> blobs, ingests;
};

struct MemoryReader : Reader {
  explicit MemoryReader(std::shared_ptr<const Bytes> blob) : bytes(std::move(blob)) {}
  uint64_t size() noexcept override { return bytes->size(); }
  size_t read_at(const Call&, uint64_t offset, std::span<uint8_t> out) override {
    return copy_out(*bytes, offset, out);
  }
  size_t read_cached(uint64_t offset, std::span<uint8_t> out) noexcept override { return copy_out(*bytes, offset, out); }
  const std::shared_ptr<const Bytes> bytes;  // shared: remove_blob leaves it alone
};

struct MemoryIngest : Ingest {
  MemoryIngest(Tables& t, std::string_view k, std::shared_ptr<Bytes> b) : tables(t), key(k), bytes(std::move(b)) {}
  uint64_t size() override { return bytes->size(); }
  size_t read_at(const Call&, uint64_t offset, std::span<uint8_t> out) override {
    return copy_out(*bytes, offset, out);
  }
  void append(const Call&, std::span<const uint8_t> more) override {
    const std::lock_guard lock(tables.mutex);  // listings read the size
    bytes->insert(bytes->end(), more.begin(), more.end());
  }
  void truncate(const Call&, uint64_t size) override {
    if (size > bytes->size()) throw Error(Code::kOutOfRange, key + ": holds fewer bytes");
    const std::lock_guard lock(tables.mutex);
    bytes->resize(static_cast<size_t>(size));
  }
  void commit(const Call&, uint64_t size, std::string_view digest, std::string_view content_digest) override {
    if (size != bytes->size()) throw Error(Code::kFailedPrecondition, key + ": holds another number of bytes");
    if (digest != content_digest) throw Error(Code::kFailedPrecondition, key + ": its bytes have another digest");
    const std::lock_guard lock(tables.mutex);
    tables.ingests.erase(key);
    if (!tables.blobs.emplace(digest, bytes).second)
      throw Error(Code::kAlreadyExists, std::string(digest) + ": exists");
  }
  Tables& tables;
  const std::string key;
  const std::shared_ptr<Bytes> bytes;
};

struct MemoryCursor : Cursor {
  explicit MemoryCursor(const auto& map) {
    for (const auto& [name, bytes] : map) entries.push_back({name, bytes->size()});
  }
  std::vector<Entry> next(const Call&, size_t capacity) override {
    const auto begin = entries.end() - static_cast<ptrdiff_t>(std::min(capacity, entries.size()));
    std::vector<Entry> some(begin, entries.end());
    entries.erase(begin, entries.end());
    return some;
  }
  std::vector<Entry> entries;
};

struct MemoryStore : ContentStore, Tables {
  static void validate(const Host&, std::string_view config) {
    if (config != "{}") throw Error(Code::kInvalidArgument, "the memory backend knows no keys: " + std::string(config));
  }
  static std::unique_ptr<ContentStore> open(const Host&, const Call&, std::string_view, bool read_only) {
    if (read_only) throw Error(Code::kFailedPrecondition, "the memory backend is empty: nothing to read");
    return std::make_unique<MemoryStore>();
  }
  StoreInfo info(const Call&) override {
    const std::lock_guard lock(mutex);
    StoreInfo out{.id = id, .location = "memory", .local = true, .free_bytes = uint64_t{1} << 30};
    for (const auto* map : {&blobs, &ingests})
      for (const auto& [name, bytes] : *map) out.used_bytes += bytes->size();
    return out;
  }
  Entry stat_blob(const Call&, std::string_view digest) override {
    const std::lock_guard lock(mutex);
    return {std::string(digest), find(blobs, digest)->size()};
  }
  std::unique_ptr<Reader> open_blob(const Call&, std::string_view digest) override {
    const std::lock_guard lock(mutex);
    return std::make_unique<MemoryReader>(find(blobs, digest));
  }
  std::unique_ptr<Cursor> list_blobs(const Call&) override { return list(blobs); }
  std::unique_ptr<Cursor> list_ingests(const Call&) override { return list(ingests); }
  void remove_blob(const Call&, std::string_view digest) override { remove(blobs, digest); }
  void discard_ingest(const Call&, std::string_view key) override { remove(ingests, key); }
  std::unique_ptr<Ingest> open_ingest(const Call&, std::string_view key, bool create, uint64_t) override {
    const std::lock_guard lock(mutex);
    if (create) ingests.try_emplace(std::string(key), std::make_shared<Bytes>());
    return std::make_unique<MemoryIngest>(*this, key, find(ingests, key));
  }

  std::unique_ptr<Cursor> list(const auto& map) {
    const std::lock_guard lock(mutex);
    return std::make_unique<MemoryCursor>(map);
  }
  void remove(auto& map, std::string_view name) {
    const std::lock_guard lock(mutex);
    find(map, name);
    map.erase(map.find(name));
  }
  const std::string id = "memory-" + std::to_string(std::random_device()());
};

}  // namespace

IPCS_PLUGIN(MemoryStore, "memory", "1.0", "blobs in memory, for tests and as an example")
