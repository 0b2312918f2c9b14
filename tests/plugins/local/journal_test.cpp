// The journal: what its files hold, who may rely on it, and what becomes of it when the power, the disk or the room
// fails.
#include "journal.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>

#include "fake_store.hpp"

namespace ipcs::local::test {
namespace {

Bytes bytes_of(FakeDisk& disk, const std::string& path) {
  const auto file = FakeFileSystem(disk).open(path, OpenMode::kRead);
  if (!file) return {};
  Bytes bytes(file->info().size);
  file->read_at(0, bytes);
  return bytes;
}
std::string blob_file(const std::string& digest) {
  return blob_path(split_digest(digest));
}
Unfinished unfinished(FakeDisk& disk) {
  FakeFileSystem file_system(disk);
  return read_unfinished(file_system);
}

// A file of two records and a removal, as a leader writes them.
struct Written {
  Bytes one = some_bytes(100, 1), two = some_bytes(5000, 2);
  std::string digest_one = digest_of(one), digest_two = digest_of(two, oci::Algorithm::kSha512);
  Bytes file = journal_header(64 << 10, 7);
  Written() {
    append_record(file, 7, 0, RecordKind::kBlob, split_digest(digest_one), "key-1", one);
    append_record(file, 7, 1, RecordKind::kRemoval, split_digest(digest_one), {}, {});
    file.resize(2 * kJournalPage);
    append_record(file, 7, 2, RecordKind::kBlob, split_digest(digest_two), {}, two);
    file.resize(64 << 10);
  }
};

}  // namespace

TEST_CASE("records are read as they were written") {
  Written written;
  REQUIRE(read_journal_header(written.file, 64 << 10, "file") == 7);
  CHECK(has_records(written.file, 7));
  RecordReader reader(written.file, 7);
  const auto first = reader.next();
  REQUIRE(first);
  CHECK(first->kind == RecordKind::kBlob);
  CHECK(first->digest == written.digest_one);
  CHECK(first->key == "key-1");
  CHECK(Bytes(first->bytes.begin(), first->bytes.end()) == written.one);
  CHECK(first->sound);
  const auto second = reader.next();
  REQUIRE(second);
  CHECK(second->kind == RecordKind::kRemoval);
  CHECK(second->digest == written.digest_one);
  const auto third = reader.next();
  REQUIRE(third);
  CHECK(third->digest == written.digest_two);
  CHECK(third->bytes.size() == 5000);
  CHECK(third->sound);
  CHECK_FALSE(reader.next());
}

TEST_CASE("no flipped bit goes unseen, and none makes the reader leave the file") {
  const Written written;
  const auto read = [](const Bytes& file) {
    std::vector<std::pair<std::string, bool>> found;
    if (const auto epoch = read_journal_header(file, 64 << 10, "file")) {
      RecordReader reader(file, *epoch);
      while (const auto record = reader.next()) found.emplace_back(record->digest, record->sound);
    }
    return found;
  };
  const auto whole = read(written.file);
  const size_t end = 2 * kJournalPage + record_size(5000);
  for (size_t at = 0; at < end; at += at < kJournalPage ? 1 : 3) {
    if (at == 64) at = kJournalPage;  // behind the header's sum
    const bool padding = at >= kJournalPage + 2 * kRecordHead + 104 && at < 2 * kJournalPage;
    if (padding) continue;
    Bytes file = written.file;
    file[at] ^= 0x10;
    INFO(at);
    // Bytes that fill up to a multiple of 8 are nobody's.
    const bool filling = (at >= kJournalPage + kRecordHead + 100 && at < kJournalPage + kRecordHead + 104);
    CHECK((read(file) == whole) == filling);
  }
  for (const size_t size : {size_t{0}, size_t{1}, kJournalPage, kJournalPage + 1, kJournalPage + kRecordHead + 99}) {
    const std::span<const uint8_t> cut(written.file.data(), size);
    CHECK_FALSE(RecordReader(cut, 7).next());
  }
}

TEST_CASE("records of another epoch or number do not count") {
  Written written;
  CHECK_FALSE(RecordReader(written.file, 6).next());
  Bytes file = journal_header(64 << 10, 7);
  append_record(file, 7, 1, RecordKind::kBlob, split_digest(written.digest_one), {}, written.one);
  CHECK_FALSE(RecordReader(file, 7).next());
}

TEST_CASE("a journal of a newer version is refused, a damaged header holds nothing") {
  Bytes page = journal_header(64 << 10, 7);
  CHECK_FALSE(read_journal_header(page, 32 << 10, "file"));
  page[8] = 2;
  CHECK_FALSE(read_journal_header(page, 64 << 10, "file"));  // its sum is wrong, too
  {
    std::ifstream newer(IPCS_TEST_DATA "/../fuzz/corpus/journal/newer", std::ios::binary);
    page.assign(std::istreambuf_iterator<char>(newer), {});
  }
  CHECK_THROWS_WITH(read_journal_header(page, page.size(), "file"), Catch::Contains("newer version"));
  CHECK_FALSE(read_journal_header(std::span(page).first(100), 64 << 10, "file"));
}

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
