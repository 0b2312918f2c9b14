// The journal of a store at work: who may rely on it, what a commit costs, and what happens when the disk breaks or has no room.
#include "journal.hpp"

#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "journal_files.hpp"

namespace ipcs::local::test {

TEST_CASE("a small commit costs one sync, a large one goes the long way") {
  FakeDisk disk;
  FakeStore store(disk, journaled());
  store.put("makes-the-files", some_bytes(10, 0));
  disk.file_syncs = disk.directory_syncs = 0;
  const Bytes small = some_bytes(1000, 1), large = some_bytes(Journal::kLargestBlob + 1, 2);
  store.put("small", small);
  CHECK(disk.file_syncs == 1);
  CHECK(disk.directory_syncs == 0);
  store.put("large", large);
  CHECK(disk.file_syncs == 2);
  CHECK(disk.directory_syncs == 1);
  disk.fail();
  disk.restart(Loss::kEverything, 0);
  FakeStore after(disk, journaled());
  CHECK(after.read(digest_of(small)) == small);
  CHECK(after.read(digest_of(large)) == large);
}

TEST_CASE("concurrent commits share the journal's sync") {
  FakeDisk disk;
  FakeStore store(disk, journaled());
  store.put("makes-the-files", some_bytes(10, 0));
  disk.file_syncs = 0;
  disk.file_sync_delay_ms = 20;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 16; ++t)
    threads.emplace_back([&, t] { store.put("key-" + std::to_string(t), some_bytes(100, 100 + t)); });
  for (std::thread& thread : threads) thread.join();
  CHECK(store.blobs().size() == 17);
  CHECK(disk.file_syncs >= 1);
  CHECK(disk.file_syncs <= 8);
}

TEST_CASE("after a clean end every blob is durable in its own file") {
  FakeDisk disk;
  std::map<std::string, Bytes> blobs;
  {
    FakeStore store(disk, journaled());
    for (uint32_t i = 0; i < 100; ++i) {
      const Bytes bytes = some_bytes(i * 50, i);
      store.put("key-" + std::to_string(i), bytes);
      blobs[digest_of(bytes)] = bytes;
    }
  }
  CHECK(unfinished(disk).empty());
  disk.restart(Loss::kEverything, 0);
  CHECK(unfinished(disk).empty());
  for (const auto& [digest, bytes] : blobs) REQUIRE(bytes_of(disk, blob_file(digest)) == bytes);
}

TEST_CASE("many removals of fresh blobs find room") {
  FakeDisk disk;
  std::set<std::string> digests;
  {
    FakeStore store(disk, journaled());
    for (uint32_t i = 0; i < 400; ++i) {
      const Bytes bytes = some_bytes(16, 5);  // the same again and again: each removal needs a record
      store.put("key", bytes);
      digests.insert(digest_of(bytes));
      store->remove_blob(store.call(), digest_of(bytes));
    }
    disk.fail();
  }
  disk.restart(Loss::kNone, 0);
  CHECK(FakeStore(disk, journaled()).blobs().empty());
}

TEST_CASE("without room for it, or on a disk that breaks, commits are durable all the same") {
  FakeDisk disk;
  const bool broken = GENERATE(false, true);
  const Bytes before = some_bytes(100, 1), after = some_bytes(100, 2);
  if (!broken) disk.reported_available = disk.reported_total = 1 << 20;
  {
    FakeStore store(disk, journaled());
    store.put("before", before);
    CHECK(FakeFileSystem(disk).stat("ipcs-journal.0").has_value() == broken);
    if (broken) disk.broken_file_syncs = 1;
    disk.directory_syncs = 0;
    store.put("after", after);
    CHECK(disk.directory_syncs == 1);
    disk.fail();
  }
  disk.restart(Loss::kEverything, 0);
  FakeStore store(disk, journaled());
  CHECK(store.read(digest_of(before)) == before);
  CHECK(store.read(digest_of(after)) == after);
}

TEST_CASE("records stay when the disk can't sync the blobs they are for") {
  FakeDisk disk;
  const Bytes bytes = some_bytes(100, 1), later = some_bytes(100, 2);
  {
    FakeStore store(disk, journaled());
    store.put("key", bytes);
    disk.broken_file_syncs = 1;
  }  // the checkpoint at the end fails
  CHECK(unfinished(disk).size() == 1);
  disk.restart(Loss::kEverything, 0);
  CHECK(FakeStore(disk, journaled()).read(digest_of(bytes)) == bytes);
}

TEST_CASE("a journal of another size is done with and made anew") {
  FakeDisk disk;
  Config config = journaled();
  const Bytes bytes = some_bytes(100, 1);
  {
    FakeStore store(disk, config);
    store.put("key", bytes);
    disk.fail();
  }
  disk.restart(Loss::kEverything, 0);
  config.journal = 128 << 10;
  {
    FakeStore store(disk, config);
    CHECK(store.read(digest_of(bytes)) == bytes);
    store.put("other", some_bytes(10, 2));
  }
  CHECK(FakeFileSystem(disk).stat("ipcs-journal.1")->size == 64 << 10);
}

TEST_CASE("blobs are synced some time after the last commit") {
  FakeDisk disk;
  FakeFileSystem file_system(disk);
  file_system.make_directory("blobs");
  file_system.make_directory("blobs/sha256");
  file_system.sync_all();
  Journal journal(file_system, [&](const std::string& path) { file_system.sync_directory(path); },
                  {.size = 64 << 10, .idle = std::chrono::milliseconds(20)});
  const Bytes bytes = some_bytes(100, 1);
  const std::string digest = digest_of(bytes);
  std::vector<Journal::Hold> hold;
  for (int i = 0; i < 1000 && hold.empty(); ++i) {  // until the files are made
    if (auto taken = journal.commit(split_digest(digest), "key", bytes)) hold.push_back(std::move(*taken));
    if (hold.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(hold.size() == 1);
  CHECK(unfinished(disk).size() == 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK(unfinished(disk).size() == 1);  // the blob has not got its name yet
  file_system.open(blob_file(digest), OpenMode::kCreate)->write_at(0, bytes);
  hold.clear();
  for (int i = 0; i < 1000 && !unfinished(disk).empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(unfinished(disk).empty());
  disk.restart(Loss::kEverything, 0);
  CHECK(bytes_of(disk, blob_file(digest)) == bytes);
}

TEST_CASE("many threads commit and remove through a journal that is full all the time") {
  FakeDisk disk;
  std::mutex mutex;
  std::map<std::string, Bytes> kept;
  {
    Config config = journaled();
    config.journal_thread = true;
    FakeStore store(disk, config);
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (uint32_t i = 0; i < 60; ++i) {
          const Bytes bytes = some_bytes(1500, 1000 * t + i);
          store.put("key-" + std::to_string(t), bytes);
          if (i % 3 == 0) {
            store->remove_blob(store.call(), digest_of(bytes));
          } else {
            const std::lock_guard lock(mutex);
            kept[digest_of(bytes)] = bytes;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    disk.fail();
  }
  disk.restart(Loss::kEverything, 0);
  FakeStore store(disk, journaled());
  for (const auto& [digest, bytes] : kept) REQUIRE(store.read(digest) == bytes);
}

}  // namespace ipcs::local::test
