// Archives whose entries are known, read in pieces of every size.
#include "diff/tar_reader.hpp"

#include <catch2/catch.hpp>

#include "host/diff/memory_source.hpp"
#include "ipcs/error.hpp"

using namespace ipcs;
using namespace ipcs::diff;
using Catch::Matchers::Contains;

namespace {

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

std::string header(const std::string& name, char type, size_t size) {
  std::string block(512, '\0');
  const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  char number[16];
  put(0, name);
  put(100, "0000640");
  put(108, "0000001");
  put(116, "0000002");
  std::snprintf(number, sizeof number, "%011zo", size);
  put(124, number);
  put(136, "00000000005");
  block[156] = type;
  put(257, std::string("ustar\0" "00", 8));
  put(148, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(number, sizeof number, "%06o", sum);
  put(148, std::string(number) + std::string("\0 ", 2));
  return block;
}

const std::string kEnd(1024, '\0');

std::string read_all(TarReader& reader) {
  std::string text;
  for (auto piece = reader.read(100); !piece.empty(); piece = reader.read(100)) text.append(piece.begin(), piece.end());
  return text;
}

std::string failure(const std::string& archive) {
  MemorySource source(archive);
  TarReader reader(source);
  try {
    while (reader.next()) read_all(reader);
  } catch (const Error& e) {
    CHECK(e.code() == Code::kInvalidArgument);
    return e.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("an extended header speaks of the next entry alone") {
  const std::string pax = "30 mtime=1500000000.123456789\n25 SCHILY.xattr.user.a=1\n";
  const std::string archive = header("x", 'x', pax.size()) + padded(pax) + header("one", '0', 3) + padded("abc") +
                              header("two", '0', 0) + kEnd;
  for (const size_t piece : {1, 300, 100000}) {
    MemorySource source(archive, piece);
    TarReader reader(source);
    auto entry = reader.next();
    REQUIRE(entry);
    CHECK(entry->name == "one");
    CHECK(entry->mode == 0640);
    CHECK(entry->uid == 1);
    CHECK(entry->gid == 2);
    CHECK(entry->modified == Time{1500000000, 123456789});
    REQUIRE(entry->xattrs.size() == 1);
    CHECK(entry->xattrs[0] == std::pair<std::string, std::string>{"user.a", "1"});
    CHECK(read_all(reader) == "abc");
    entry = reader.next();
    REQUIRE(entry);
    CHECK(entry->name == "two");
    CHECK(entry->modified == Time{5, 0});
    CHECK(entry->xattrs.empty());
    CHECK_FALSE(reader.next());
  }
}

TEST_CASE("what is not read is passed over") {
  const std::string archive = header("one", '0', 3000) + padded(std::string(3000, 'x')) + header("two", '0', 0) + kEnd;
  MemorySource source(archive, 700);
  TarReader reader(source);
  REQUIRE(reader.next());
  CHECK(reader.read(10).size() == 10);
  const auto second = reader.next();
  REQUIRE(second);
  CHECK(second->name == "two");
}

TEST_CASE("archives that are none") {
  const std::string file = header("f", '0', 600) + padded(std::string(600, 'x'));
  CHECK(failure("") == "none");
  CHECK(failure(file) == "none");
  CHECK_THAT(failure(file.substr(0, 100)), Contains("ends in the middle of a header"));
  CHECK_THAT(failure(file.substr(0, 900)), Contains("ends in the middle of a file"));
  std::string wrong = file;
  wrong[0] = 'g';
  CHECK_THAT(failure(wrong), Contains("checksum"));
  CHECK_THAT(failure(std::string(512, '\0') + file), Contains("a single block of zeros"));
  CHECK_THAT(failure(header("x", 'x', 2 << 20)), Contains("too long"));
}
