// The way from an older schema to a newer one, also when it fails or the power does.
#include "catalog/encoding.hpp"
#include "catalog/schema.hpp"
#include "host/catalog/fixture.hpp"
#include "host/catalog/power_loss_vfs.hpp"

namespace ipcs::catalog::testing {
namespace {

// The schema of today and two steps beyond it.
std::vector<SchemaStep> future() {
  const auto today = schema_steps();
  std::vector<SchemaStep> steps(today.begin(), today.end());
  const int64_t last = steps.back().to;
  steps.push_back({last + 1, [](Connection& db) { db.execute("ALTER TABLE pins ADD COLUMN colour TEXT"); }});
  steps.push_back({last + 2, [](Connection& db) { db.execute("UPDATE pins SET colour = 'red'"); }});
  return steps;
}

void make(const std::string& path, const Catalog::Options& options) {
  const auto catalog = Catalog::open(path, options);
  for (int i = 0; i < 50; ++i) catalog->pin(digest(i), 1, 1, std::string(100, 'n'));
}

TEST_CASE("a migration copies the file and brings it to the newest version in order") {
  const TempDir dir;
  make(dir / "c", {});
  const int64_t old = schema_steps().back().to;
  const std::string bak = (dir / "c") + ".v" + std::to_string(old) + ".bak";
  spill(bak, "what an interrupted copy left");
  {
    Connection db(dir / "c", {}, false);
    CHECK_FALSE(migrate(db, {}, future()));
    CHECK(db.integer("PRAGMA user_version") == old + 2);
    CHECK(db.integer("SELECT count(*) FROM pins WHERE colour = 'red'") == 50);
    CHECK_FALSE(migrate(db, {}, future()));  // nothing is left to do
  }
  CHECK(error_of([&] { Catalog::open(dir / "c"); }).code() == Code::kFailedPrecondition);
  const auto copy = Catalog::open(bak);
  CHECK_FALSE(copy->created());
  CHECK(copy->pins("", 100).size() == 50);
}

// A catalog of version 1 with 50 pins, the first of them pending, and one claim.
void make_version_1(const std::string& path, const std::string& vfs) {
  Connection db(path, vfs, true);
  CHECK(migrate(db, vfs, schema_steps().first(1)));
  db.execute("BEGIN");
  for (int i = 0; i <= 50; ++i) {
    const std::string key = digest_key(digest(i));
    Statement(db, "INSERT INTO blobs(digest, size, created_ns, updated_ns) VALUES(?, 7, 1, 1)").blob(key).run();
    if (i == 50) {
      Statement(db, "INSERT INTO claims(client, digest, created_ns, updated_ns) VALUES('a', ?, 1, 1)").blob(key).run();
    } else {
      Statement(db, "INSERT INTO pins(digest, created_ns, pending, note) VALUES(?, 100, ?, ?)")
          .blob(key)
          .bind(i == 0)
          .blob("note " + std::to_string(i))
          .run();
    }
  }
  db.execute("COMMIT");
}

void check_version_1_kept(const Catalog& catalog) {
  REQUIRE(catalog.pins("", 100).size() == 49);
  for (const Pin& pin : catalog.pins("", 100)) {
    REQUIRE(pin.owner == kOperator);
    REQUIRE(pin.note.starts_with("note "));
    REQUIRE(pin.digest == digest(std::stoi(pin.note.substr(5))));
    REQUIRE((pin.size == 7 && pin.created_ns == 100));
  }
  REQUIRE(catalog.pending_pins() == std::vector<Digest>{digest(0)});
  REQUIRE(catalog.claimants(digest(50)) == std::vector<std::string>{"a"});
  REQUIRE(catalog.totals().blobs == 50);
}

TEST_CASE("a catalog of version 1 keeps its pins, which are the operator's") {
  const TempDir dir;
  make_version_1(dir / "c", {});
  const auto catalog = Catalog::open(dir / "c");
  CHECK_FALSE(catalog->created());
  check_version_1_kept(*catalog);
  catalog->pin(digest(1), 7, 1, "", "run 1");
  CHECK_FALSE(catalog->unpin(digest(1), "run 1"));
  Connection copy((dir / "c") + ".v1.bak", {}, false);
  CHECK(copy.integer("PRAGMA user_version") == 1);
  CHECK(copy.integer("SELECT count(*) FROM pins") == 50);
}

TEST_CASE("the power fails at every step of the way from version 1") {
  const TempDir dir;
  const std::string path = dir / "c";
  bool finished = false;
  for (uint64_t step = 1; !finished; ++step) {
    PowerLossVfs vfs;
    make_version_1(path, vfs.name());
    vfs.fail_at(step);
    try {
      Catalog::open(path, {vfs.name()});
      finished = !vfs.failed();
    } catch (const Error&) {
      CHECK(vfs.failed());
    }
    vfs.restore(static_cast<uint32_t>(step % 3));
    check_version_1_kept(*Catalog::open(path, {vfs.name()}));
    REQUIRE(step < 1000);
  }
}

TEST_CASE("a step that fails leaves the file at its version") {
  const TempDir dir;
  make(dir / "c", {});
  auto steps = future();
  steps.back().apply = [](Connection& db) { db.execute("DELETE FROM pins; SELECT * FROM no_such_table"); };
  {
    Connection db(dir / "c", {}, false);
    CHECK_THROWS_AS(migrate(db, {}, steps), Error);
  }
  CHECK(Catalog::open(dir / "c")->pins("", 100).size() == 50);
}

TEST_CASE("the power fails at every step of a migration: the file is of the old or of the new version") {
  const TempDir dir;
  const std::string path = dir / "c";
  const int64_t old = schema_steps().back().to;
  int migrated = 0;
  bool finished = false;
  for (uint64_t step = 1; !finished; ++step) {
    PowerLossVfs vfs;
    make(path, {vfs.name()});
    vfs.fail_at(step);
    try {
      Connection db(path, vfs.name(), false);
      migrate(db, vfs.name(), future());
      finished = !vfs.failed();
    } catch (const Error&) {
      CHECK(vfs.failed());
    }
    vfs.restore(static_cast<uint32_t>(step % 3));
    {
      Connection db(path, vfs.name(), false);
      REQUIRE(db.text("PRAGMA integrity_check") == "ok");
      const int64_t version = db.integer("PRAGMA user_version");
      REQUIRE((version == old || version == old + 2));
      REQUIRE(db.integer("SELECT count(*) FROM pins") == 50);
      migrated += version != old;
      migrate(db, vfs.name(), future());
      REQUIRE(db.integer("SELECT count(*) FROM pins WHERE colour = 'red'") == 50);
    }
    REQUIRE(step < 1000);
  }
  CHECK(migrated > 0);
}

}  // namespace
}  // namespace ipcs::catalog::testing
