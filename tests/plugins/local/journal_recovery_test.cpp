// What a start makes of a journal after a kill, after a power loss and on a full disk.
#include "journal.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "journal_files.hpp"

namespace ipcs::local::test {

TEST_CASE("what was removed does not come back after a kill, what was quarantined not even after a power loss") {
  const Loss loss = GENERATE(Loss::kNone, Loss::kEverything);
  FakeDisk disk;
  const Bytes kept = some_bytes(100, 1), gone = some_bytes(100, 2), damaged = some_bytes(100, 3),
              back = some_bytes(100, 4);
  {
    FakeStore store(disk, journaled());
    for (const Bytes& bytes : {kept, gone, damaged, back}) store.put("key", bytes);
    store->quarantine_blob(store.call(), digest_of(damaged));
    store->remove_blob(store.call(), digest_of(gone));
    store->remove_blob(store.call(), digest_of(back));
    store.put("key", back);
    disk.fail();
  }
  disk.restart(loss, 0);
  FakeStore store(disk, journaled());
  CHECK(store.read(digest_of(kept)) == kept);
  CHECK(store.read(digest_of(back)) == back);
  CHECK_FALSE(store.has(digest_of(damaged)));
  if (loss == Loss::kNone) CHECK_FALSE(store.has(digest_of(gone)));
  if (loss == Loss::kNone) CHECK(store->info(store.call()).used_bytes == 200);
}

TEST_CASE("a start that is cut off does not void a removal before the record that it takes back") {
  const Bytes damaged = some_bytes(100, 1);
  bool finished = false;
  for (size_t step = 0; !finished; ++step) {
    INFO(step);
    FakeDisk disk;
    {
      FakeStore store(disk, journaled());
      store.put("key", damaged);
      for (uint32_t i = 0; i < 8; ++i) store.put("key", some_bytes(3000, 10 + i));  // the first file is full
      store->quarantine_blob(store.call(), digest_of(damaged));
      disk.fail();
    }
    disk.restart(Loss::kEverything, 0);
    disk.fail_at(step);
    try {
      const FakeStore store(disk, journaled());
      finished = true;
      disk.fail();
    } catch (const Error&) {
      REQUIRE(disk.is_off());
    }
    disk.restart(Loss::kEverything, 0);
    REQUIRE_FALSE(FakeStore(disk, journaled()).has(digest_of(damaged)));
  }
}

TEST_CASE("a commit that was cut off before the rename is finished: the blob is there, the ingest is gone") {
  const Bytes bytes = some_bytes(40'000, 1);
  const std::string digest = digest_of(bytes);
  size_t finished = 0;
  for (size_t step = 0; step < 12; ++step) {
    INFO(step);
    FakeDisk disk;
    Config config = journaled();
    config.journal = 128 << 10;
    {
      FakeStore store(disk, config);
      store.put("makes-the-files", some_bytes(10, 0));
      const auto ingest = store.ingest("cut-off", bytes);
      disk.fail_at(step);
      try {
        ingest->commit(store.call(), bytes.size(), digest, digest);
      } catch (const Error&) {
        REQUIRE(disk.is_off());
      }
      disk.fail();
    }
    disk.restart(Loss::kNone, 0);
    FakeStore store(disk, config);
    REQUIRE(store.has(digest) == store.ingests().empty());
    if (store.has(digest)) ++finished;
    REQUIRE(store->info(store.call()).used_bytes == 40'010);
  }
  CHECK(finished > 2);
  CHECK(finished < 10);
}

TEST_CASE("a store opened for reading serves what only the journal has, and changes nothing") {
  FakeDisk disk;
  const Bytes lost = some_bytes(3000, 1), whole = some_bytes(100, 2), removed = some_bytes(200, 3);
  {
    FakeStore store(disk, journaled());
    for (const Bytes& bytes : {lost, whole, removed}) store.put("key", bytes);
    store->remove_blob(store.call(), digest_of(removed));
    disk.fail();
  }
  disk.restart(Loss::kNone, 0);
  FakeFileSystem file_system(disk);
  file_system.open(blob_file(digest_of(lost)), OpenMode::kWrite)->truncate(1000);
  {
    FakeStore store(disk, journaled(), true);
    CHECK(store.read(digest_of(lost)) == lost);
    CHECK(store.read(digest_of(whole)) == whole);
    CHECK_FALSE(store.has(digest_of(removed)));
    std::map<std::string, uint64_t> listed;
    for (const plugin::Entry& entry : store.blobs()) CHECK(listed.emplace(entry.name, entry.size).second);
    CHECK(listed == std::map<std::string, uint64_t>{{digest_of(lost), 3000}, {digest_of(whole), 100}});
    CHECK(store->info(store.call()).used_bytes == 3100);
  }
  CHECK(bytes_of(disk, blob_file(digest_of(lost))).size() == 1000);
  CHECK(unfinished(disk).size() == 3);
  // Opened for writing, by one that keeps no journal.
  { CHECK(FakeStore(disk, plain()).read(digest_of(lost)) == lost); }
  CHECK(bytes_of(disk, blob_file(digest_of(lost))) == lost);
  CHECK_FALSE(file_system.stat("ipcs-journal.0"));
  disk.restart(Loss::kEverything, 0);
  CHECK(FakeStore(disk, plain()).read(digest_of(whole)) == whole);
}

TEST_CASE("a full disk is opened: the journal serves what can't be written, and the next start writes it") {
  FakeDisk disk;
  const Bytes bytes = some_bytes(3000, 1);
  const std::string digest = digest_of(bytes);
  {
    FakeStore store(disk, journaled());
    store.put("key", bytes);
    disk.fail();
  }
  disk.restart(Loss::kEverything, 0);
  disk.capacity = 0;
  {
    FakeStore store(disk, journaled());
    CHECK(store.read(digest) == bytes);
    CHECK(bytes_of(disk, blob_file(digest)).empty());
    CHECK(store.blobs().size() == 1);
  }
  disk.capacity = UINT64_MAX;
  disk.restart(Loss::kEverything, 0);
  CHECK(FakeStore(disk, journaled()).read(digest) == bytes);
  CHECK(bytes_of(disk, blob_file(digest)) == bytes);
}

TEST_CASE("power loss at every step of the journal's life, and again while it is replayed") {
  const Loss loss = GENERATE(Loss::kNone, Loss::kEverything, Loss::kContents, Loss::kSome);
  const auto run = [&](uint32_t seed, size_t step) {
    FakeDisk disk;
    std::map<std::string, Bytes> there, ever;
    std::set<std::string> quarantined;
    const auto live = [&](uint32_t from) {
      FakeStore store(disk, journaled());
      for (uint32_t i = from; i < from + 20; ++i) {
        const Bytes bytes = some_bytes(1000 + 500 * (i % 7), i % 13);  // some come again
        const std::string digest = digest_of(bytes);
        ever[digest] = bytes;
        quarantined.erase(digest);
        store.put("key-" + std::to_string(i), bytes);
        there[digest] = bytes;
        if (i % 4 == 1) {
          there.erase(digest);
          store->remove_blob(store.call(), digest);
        }
        if (i % 9 == 5 && there.erase(digest) != 0) {
          store->quarantine_blob(store.call(), digest);
          quarantined.insert(digest);
        }
      }
    };
    disk.fail_at(step);
    bool finished = false;
    try {
      live(0);
      live(20);
      finished = true;
    } catch (const Error&) {
      REQUIRE(disk.is_off());
    }
    disk.fail();
    disk.restart(loss, seed);
    // Twice the power fails while the store is being opened, at another step each time.
    for (uint32_t again = 0; again < 2; ++again) {
      disk.fail_at((step * 7 + seed * 3 + again * 11) % 40);
      try {
        const FakeStore store(disk, journaled());
        disk.fail();
      } catch (const Error&) {
        REQUIRE(disk.is_off());
      }
      disk.restart(loss, seed + 1000 + again);
    }
    std::vector<plugin::Entry> shown;
    for (const bool last : {false, true}) {
      FakeStore store(disk, journaled());
      // One assertion for all: there are many steps.
      std::string wrong;
      for (const auto& [digest, bytes] : there)
        if (!store.has(digest) || store.read(digest) != bytes) wrong += " lost " + digest;
      for (const std::string& digest : quarantined)
        if (store.has(digest)) wrong += " back " + digest;
      for (const plugin::Entry& entry : shown)
        if (!store.has(entry.name)) wrong += " shown once " + entry.name;
      shown = store.blobs();
      for (const plugin::Entry& entry : shown)
        if (store.read(entry.name) != ever[entry.name]) wrong += " wrong " + entry.name;
      REQUIRE(wrong.empty());
      if (last) continue;
      disk.fail();
      disk.restart(Loss::kEverything, 0);
    }
    return finished;
  };
  for (uint32_t seed = 0; seed < (loss == Loss::kSome ? 4 : 1); ++seed) {
    size_t step = 0;
    for (bool finished = false; !finished; ++step) {
      INFO("loss " << static_cast<int>(loss) << ", seed " << seed << ", step " << step);
      finished = run(seed, step);
    }
    CHECK(step > 200);
  }
}

}  // namespace ipcs::local::test
