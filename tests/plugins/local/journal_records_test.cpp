// What the journal's files hold, whole and damaged.
#include "journal.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>

#include "journal_files.hpp"

namespace ipcs::local::test {
namespace {

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

}  // namespace ipcs::local::test
