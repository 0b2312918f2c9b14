// Fuzzes the reader of the local backend's journal: whatever the bytes, it ends, and gives nothing from outside them.
#include <openssl/sha.h>

#include <cstdlib>
#include <cstring>

#include "ipcs/error.hpp"
#include "journal_format.hpp"

namespace {

using namespace ipcs::local;
constexpr size_t kSum = 160;  // a record's, of all before it

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// The input is what lies behind the header page. Where a record seems to begin its sum is made right, which chance does
// not achieve, so that wrong heads with a right sum are read, too.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> file = journal_header(kJournalPage + size, 7);
  file.insert(file.end(), data, data + size);
  for (size_t at = kJournalPage; at + kRecordHead <= file.size(); at += 8) {
    if (std::memcmp(file.data() + at, "IPJR", 4) == 0) ::SHA256(file.data() + at, kSum, file.data() + at + kSum);
  }
  require(read_journal_header(file, file.size(), "input") == 7);
  RecordReader reader(file, 7);
  size_t records = 0;
  while (const auto record = reader.next()) {
    require(++records <= file.size() / kRecordHead);
    split_digest(record->digest);
    require(record->bytes.data() >= file.data() &&
            record->bytes.data() + record->bytes.size() <= file.data() + file.size());
    if (record->sound && record->kind == RecordKind::kBlob) require(names(split_digest(record->digest), record->bytes));
  }
  require(records == 0 || has_records(file, 7));

  // And the input as a whole file.
  try {
    if (const auto epoch = read_journal_header({data, size}, size, "input")) RecordReader({data, size}, *epoch).next();
  } catch (const ipcs::Error&) {
    // A newer version, the only exception there is.
  }
  return 0;
}
