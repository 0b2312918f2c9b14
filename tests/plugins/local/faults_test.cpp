// Disks that are full or broken, and what concurrent commits share.
#include <catch2/catch.hpp>

#include "fake_store.hpp"

namespace ipcs::local::test {
namespace {

Code code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.code();
  }
  return Code::kOk;
}

}  // namespace

TEST_CASE("bytes whose sync failed are not trusted a second time") {
  FakeDisk disk;
  FakeStore store(disk);
  const Bytes bytes = some_bytes(1000, 1);
  const std::string digest = digest_of(bytes);
  const auto ingest = store.ingest("key", bytes);
  disk.broken_file_syncs = 1;
  CHECK(code_of([&] { ingest->commit(store.call(), 1000, digest, digest); }) == Code::kDataLoss);
  CHECK_FALSE(store.has(digest));
  CHECK(ingest->size() == 0);
  CHECK(store->info(store.call()).used_bytes == 0);
  ingest->append(store.call(), bytes);
  ingest->commit(store.call(), 1000, digest, digest);
  disk.restart(Loss::kEverything, 0);
  CHECK(FakeStore(disk).read(digest) == bytes);
}

TEST_CASE("a directory whose sync failed takes no commit until the store is opened again") {
  FakeDisk disk;
  const Bytes bytes = some_bytes(1000, 1);
  const std::string digest = digest_of(bytes);
  {
    FakeStore store(disk);
    const auto ingest = store.ingest("key", bytes);
    disk.broken_directory_syncs = 1;
    for (int attempt = 0; attempt < 2; ++attempt) {
      CHECK(code_of([&] { ingest->commit(store.call(), 1000, digest, digest); }) == Code::kDataLoss);
      CHECK_FALSE(store.has(digest));
      CHECK(store.blobs().empty());
      CHECK(ingest->size() == 1000);
      CHECK(store.ingests().size() == 1);
    }
  }
  FakeStore store(disk);
  store->open_ingest(store.call(), "key", false, 0)->commit(store.call(), 1000, digest, digest);
  CHECK(store.read(digest) == bytes);
}

TEST_CASE("a full disk refuses bytes and keeps what it has") {
  FakeDisk disk;
  FakeStore store(disk);
  const Bytes bytes = some_bytes(1000, 1);
  const auto ingest = store.ingest("key", bytes);
  disk.capacity = 1500;
  const Bytes more = some_bytes(1000, 2);
  CHECK(code_of([&] { ingest->append(store.call(), more); }) == Code::kResourceExhausted);
  CHECK(ingest->size() == 1000);
  CHECK(store->info(store.call()).used_bytes == 1000);
  disk.capacity = UINT64_MAX;
  const std::string digest = digest_of(bytes);
  ingest->commit(store.call(), 1000, digest, digest);
  CHECK(store.read(digest) == bytes);
}

TEST_CASE("the quota counts blobs and ingests") {
  FakeDisk disk;
  FakeStore store(disk, {.path = "/fake", .quota = 2000, .full_at = 1.0, .journal = 0});
  store.put("one", some_bytes(1200, 1));
  const auto ingest = store->open_ingest(store.call(), "two", true, 0);
  CHECK(code_of([&] { ingest->append(store.call(), some_bytes(801, 2)); }) == Code::kResourceExhausted);
  CHECK(ingest->size() == 0);
  ingest->append(store.call(), some_bytes(800, 2));
  const auto info = store->info(store.call());
  CHECK(info.used_bytes == 2000);
  CHECK(info.free_bytes == 0);
  CHECK(info.quota_bytes == 2000);
  CHECK(info.full);
  CHECK(code_of([&] { store->open_ingest(store.call(), "three", true, 0); }) == Code::kResourceExhausted);
  CHECK_THROWS_WITH(store->open_ingest(store.call(), "three", true, 0),
                    Catch::Contains("is full: 2000 bytes of its quota of 2000 are used, at full_at = 1 new ones are refused"));
  store->remove_blob(store.call(), store.blobs().front().name);
  CHECK_FALSE(store->info(store.call()).full);
  store->open_ingest(store.call(), "three", true, 0);
}

TEST_CASE("a file system at the watermark takes no new ingest, but goes on with old ones") {
  FakeDisk disk;
  FakeStore store(disk);  // full_at is 0.95
  const auto old = store.ingest("old", some_bytes(10, 1));
  disk.reported_total = 1000;
  disk.reported_available = 51;
  CHECK_FALSE(store->info(store.call()).full);
  disk.reported_available = 50;
  CHECK(store->info(store.call()).full);
  CHECK(code_of([&] { store->open_ingest(store.call(), "new", true, 0); }) == Code::kResourceExhausted);
  CHECK_THROWS_WITH(store->open_ingest(store.call(), "new", true, 0),
                    Catch::Contains("is full: 950 bytes of the file system's 1000 are used, at full_at = 0.95"));
  old->append(store.call(), some_bytes(10, 2));
  store->open_ingest(store.call(), "old", true, 0);
}

TEST_CASE("a blob of a wrong size is damaged: the right bytes replace it") {
  FakeDisk disk;
  FakeStore store(disk);
  const Bytes bytes = some_bytes(1000, 1);
  const std::string digest = digest_of(bytes);
  store.put("one", bytes);
  FakeFileSystem(disk).open("blobs/sha256/" + digest.substr(7), OpenMode::kWrite)->truncate(500);
  const auto ingest = store.ingest("two", bytes);
  ingest->commit(store.call(), 1000, digest, digest);
  CHECK(store.read(digest) == bytes);
  CHECK(FakeFileSystem(disk).stat("quarantine/sha256/" + digest.substr(7) + ".1")->size == 500);
}

TEST_CASE("concurrent commits share the sync of the directory") {
  FakeDisk disk;
  FakeStore store(disk);
  disk.directory_syncs = 0;
  disk.directory_sync_delay_ms = 20;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 16; ++t)
    threads.emplace_back([&, t] { store.put("key-" + std::to_string(t), some_bytes(100, t)); });
  for (std::thread& thread : threads) thread.join();
  CHECK(store.blobs().size() == 16);
  CHECK(disk.file_syncs >= 16);
  CHECK(disk.directory_syncs >= 1);
  CHECK(disk.directory_syncs <= 8);
}

TEST_CASE("a blob is hidden until its name is durable") {
  FakeDisk disk;
  FakeStore store(disk);
  const Bytes bytes = some_bytes(100, 1);
  const std::string digest = digest_of(bytes);
  disk.directory_sync_delay_ms = 300;
  disk.directory_syncs = 0;
  std::atomic<bool> committed{false};
  std::thread writer([&] {
    store.put("key", bytes);
    committed = true;
  });
  while (disk.directory_syncs == 0) std::this_thread::yield();
  const bool named = FakeFileSystem(disk).stat("blobs/sha256/" + digest.substr(7)).has_value();
  const bool shown = store.has(digest) || !store.blobs().empty();
  const bool over = committed;
  writer.join();
  REQUIRE_FALSE(over);
  CHECK(named);
  CHECK_FALSE(shown);
  CHECK(store.has(digest));
}

}  // namespace ipcs::local::test
