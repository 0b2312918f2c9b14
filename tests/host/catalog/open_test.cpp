// Opening: who may, what is refused and left alone, and what a killed process leaves.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "host/catalog/fixture.hpp"

namespace ipcs::catalog::testing {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("a file is made once") {
  const TempDir dir;
  CHECK(Catalog::open(dir / "c")->created());
  CHECK_FALSE(Catalog::open(dir / "c")->created());
  spill(dir / "empty", "");
  CHECK(Catalog::open(dir / "empty")->created());
}

TEST_CASE("what a killed process has written is there, and while it lives nobody else gets in") {
  const TempDir dir;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      const auto catalog = Catalog::open(dir / "c");
      for (int i = 0; i < 100; ++i) catalog->claim("a", digest(i), static_cast<uint64_t>(i), 1, nullptr);
      catalog->begin_pin(digest(1000), 5, 1, "");
      catalog->put_ingest({"key", "a", "ref", "", 0, 1, 1});
      if (::write(ready[1], "x", 1) == 1) ::pause();
    } catch (...) {
    }
    ::_exit(1);
  }
  ::close(ready[1]);
  char byte = 0;
  const bool alive = ::read(ready[0], &byte, 1) == 1;
  ::close(ready[0]);
  std::string refused;
  Code code = Code::kOk;
  try {
    Catalog::open(dir / "c");
  } catch (const Error& e) {
    refused = e.what();
    code = e.code();
  }
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(alive);
  CHECK(code == Code::kFailedPrecondition);
  CHECK_THAT(refused, Contains(dir / "c") && Contains("in use by process " + std::to_string(child)));

  const auto catalog = Catalog::open(dir / "c");
  CHECK_FALSE(catalog->created());
  for (int i = 0; i < 100; ++i) CHECK(catalog->find("a", digest(i)));
  CHECK(catalog->pending_pins() == std::vector<Digest>{digest(1000)});
  CHECK(catalog->find_ingest("a", "ref"));
}

TEST_CASE("a catalog is open once in a process, too") {
  const TempDir dir;
  auto catalog = Catalog::open(dir / "c");
  CHECK(error_of([&] { Catalog::open(dir / "c"); }).code() == Code::kFailedPrecondition);
  catalog->claim("a", digest(1), 1, 1, nullptr);
  catalog.reset();
  CHECK(Catalog::open(dir / "c")->find("a", digest(1)));
}

// Opens a file that must be refused, and checks that it was left as it is.
Error refused(const TempDir& dir) {
  const std::string before = slurp(dir / "c");
  const Error error = error_of([&] { Catalog::open(dir / "c"); });
  CHECK_THAT(error.what(), Contains(dir / "c"));
  CHECK(slurp(dir / "c") == before);
  CHECK_FALSE(std::filesystem::exists(dir / "c-wal"));
  CHECK_FALSE(std::filesystem::exists(dir / "c-journal"));
  return error;
}

TEST_CASE("a file that is no database is refused") {
  const TempDir dir;
  for (const std::string& content : {std::string("hello"), std::string(100000, 'x'), std::string(4096, '\0')}) {
    spill(dir / "c", content);
    const Error error = refused(dir);
    CHECK(error.code() == Code::kDataLoss);
    CHECK_THAT(error.what(), Contains("not a database") && Contains("move it away"));
  }
}

TEST_CASE("a catalog that was cut short is refused") {
  const TempDir dir;
  {
    const auto catalog = Catalog::open(dir / "c");
    for (int i = 0; i < 500; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
  }
  const std::string whole = slurp(dir / "c");
  for (const size_t part : {whole.size() / 2, size_t{4096}, size_t{200}}) {
    spill(dir / "c", whole.substr(0, part));
    CHECK(refused(dir).code() == Code::kDataLoss);
  }
}

TEST_CASE("a damaged page is reported by who meets it") {
  const TempDir dir;
  {
    const auto catalog = Catalog::open(dir / "c");
    for (int i = 0; i < 500; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
  }
  std::string bytes = slurp(dir / "c");
  for (size_t page = 1; page < bytes.size() / 4096; ++page)
    std::fill_n(bytes.begin() + static_cast<long>(page * 4096), 100, '\xee');
  spill(dir / "c", bytes);
  const Error error = error_of([&] { Catalog::open(dir / "c")->list("a", "", 1000); });
  CHECK(error.code() == Code::kDataLoss);
  CHECK_THAT(error.what(), Contains(dir / "c"));
}

TEST_CASE("another program's database is refused") {
  const TempDir dir;
  Connection(dir / "c", {}, true).execute("CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  const Error error = refused(dir);
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK_THAT(error.what(), Contains("another program"));
}

TEST_CASE("a newer schema is refused with both versions and the way out") {
  const TempDir dir;
  { Catalog::open(dir / "c")->pin(digest(1), 1, 1, ""); }
  Connection(dir / "c", {}, false).execute("PRAGMA user_version = 7");
  const Error error = refused(dir);
  CHECK(error.code() == Code::kFailedPrecondition);
  CHECK_THAT(error.what(), Contains("version 7") && Contains("up to version 2") && Contains("newer ipcsd") &&
                               Contains((dir / "c") + ".v2.bak"));
}

TEST_CASE("a directory that is missing or in the file's place is named") {
  const TempDir dir;
  CHECK(error_of([&] { Catalog::open(dir / "no/c"); }).code() == Code::kNotFound);
  std::filesystem::create_directory(dir / "d");
  CHECK_THAT(error_of([&] { Catalog::open(dir / "d"); }).what(), Contains(dir / "d"));
}

}  // namespace
}  // namespace ipcs::catalog::testing
