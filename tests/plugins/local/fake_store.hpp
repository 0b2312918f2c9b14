// A local store on a fake disk, and short words for what tests do with it.
#pragma once

#include <memory>
#include <string>

#include "fake_disk.hpp"
#include "ipcs/store.hpp"
#include "local_store.hpp"
#include "oci/digest.hpp"

namespace ipcs::local::test {

inline std::string digest_of(const Bytes& bytes, oci::Algorithm algorithm = oci::Algorithm::kSha256) {
  return oci::Digest::of(bytes, algorithm).to_string();
}
inline Bytes some_bytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// Without a journal: a commit syncs file and directory.
inline Config plain() {
  return {.path = "/fake", .journal = 0};
}
// With the least journal, so that it is full now and then. Without a thread, so that every run is the same.
inline Config journaled() {
  return {.path = "/fake", .journal = 64 << 10, .journal_thread = false};
}

// Opened as the daemon would after a start. One thread, but for put() and read().
class FakeStore {
 public:
  explicit FakeStore(FakeDisk& disk, Config config = plain(), bool read_only = false)
      : store_(std::make_unique<FakeFileSystem>(disk), std::move(config), read_only, "fake-id", call()) {}

  LocalStore& operator*() { return store_; }
  LocalStore* operator->() { return &store_; }
  plugin::Call call() const { return plugin::Call(host_call_.abi()); }

  std::unique_ptr<plugin::Ingest> ingest(const std::string& key, const Bytes& bytes) {
    auto made = store_.open_ingest(call(), key, true, 0);
    const auto half = std::span(bytes).first(bytes.size() / 2);
    made->append(call(), half);
    made->append(call(), std::span(bytes).subspan(half.size()));
    return made;
  }
  // Commits `bytes`, or finds them committed.
  void put(const std::string& key, const Bytes& bytes, oci::Algorithm algorithm = oci::Algorithm::kSha256) {
    const std::string digest = digest_of(bytes, algorithm);
    try {
      ingest(key, bytes)->commit(call(), bytes.size(), digest, digest);
    } catch (const Error& error) {
      if (error.code() != Code::kAlreadyExists) throw;
    }
  }
  bool has(const std::string& digest) {
    try {
      store_.stat_blob(call(), digest);
      return true;
    } catch (const Error& error) {
      if (error.code() != Code::kNotFound) throw;
      return false;
    }
  }
  Bytes read(const std::string& digest) {
    const auto reader = store_.open_blob(call(), digest);
    Bytes bytes(reader->size());
    bytes.resize(reader->read_at(call(), 0, bytes));
    return bytes;
  }
  std::vector<plugin::Entry> blobs() { return store_.list_blobs(call())->next(call(), 10'000); }
  std::vector<plugin::Entry> ingests() { return store_.list_ingests(call())->next(call(), 10'000); }

 private:
  ipcs::Call host_call_;
  LocalStore store_;
};

}  // namespace ipcs::local::test
