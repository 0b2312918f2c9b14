// What a start makes of catalogs and stores that do not agree.
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

namespace {

Digest found(World& w, std::string_view text) {
  w.memory->put(digest_of(text).to_string(), bytes_of(text));
  return digest_of(text);
}

}  // namespace

TEST_CASE("a new catalog pins what it finds for the operator") {
  World w;
  const Digest one = found(w, "one"), two = found(w, "twotwo");
  const auto report = w.recover();
  CHECK(report.blobs == 2);
  CHECK(report.bytes == 9);
  CHECK(report.adopted == 2);
  CHECK(report.missing == 0);
  CHECK(w.catalog->pinned(one));
  CHECK(w.catalog->pinned(two));
  CHECK(w.catalog->claimants(one).empty());
  CHECK(w.listed(w.a).empty());
  CHECK(w.content->info(w.call, w.op, two).size == 6);
  CHECK(w.catalog->store_id() == "memory-1");
}

TEST_CASE("a new catalog gives what it finds to every containerd when told so") {
  World w;
  const Digest one = found(w, "one");
  content::RecoveryOptions options;
  options.adopt_for_containerd = true;
  CHECK(w.recover(options).adopted == 1);
  CHECK_FALSE(w.catalog->pinned(one));
  CHECK(w.listed(w.a) == names({one}));
  CHECK(w.listed(w.b) == names({one}));
}

TEST_CASE("in an older catalog a blob without a row goes to every containerd, and its collector decides") {
  World w;
  w.recover();
  const Digest known = w.put(w.a, "known"), cut_off = found(w, "commit cut off before its claim");
  const auto report = w.recover();
  CHECK(report.adopted == 1);
  CHECK_FALSE(w.catalog->pinned(cut_off));
  CHECK(w.listed(w.a) == names({known, cut_off}));
  CHECK(w.listed(w.b) == names({cut_off}));
  w.content->remove(w.call, w.a, cut_off);
  w.content->remove(w.call, w.b, cut_off);
  CHECK_FALSE(w.memory->has(cut_off.to_string()));
}

TEST_CASE("a first start that is cut off is a first start the next time") {
  World w;
  const Digest one = found(w, "one");
  // The clients' names are asked for when the blobs are taken in; a claim for the operator's own name is refused there.
  content::RecoveryOptions broken;
  broken.clients = {"a", content::kOperator};
  broken.adopt_for_containerd = true;
  CHECK(code_of([&] { w.recover(broken); }) == Code::kInvalidArgument);
  CHECK(w.catalog->store_id().empty());
  CHECK(w.catalog->totals().claims == 0);
  w.restart();
  w.recover();
  CHECK(w.catalog->pinned(one));
}

TEST_CASE("a second start changes nothing") {
  World w;
  const Digest one = found(w, "one");
  const Digest lost = w.put(w.a, "lost");
  w.memory->drop(lost.to_string());
  w.content->open_writer(w.call, w.a, "r", 0, {}).write(w.call, bytes_of("x"));
  w.recover();
  const auto before = w.catalog->totals();
  const auto pins = w.catalog->pins({}, 10);
  w.restart();
  const auto report = w.recover();
  CHECK(report.adopted == 0);
  CHECK(report.missing == 1);
  CHECK(report.dropped_ingests == 0);
  const auto after = w.catalog->totals();
  CHECK(after.blobs == before.blobs);
  CHECK(after.claims == before.claims);
  CHECK(after.pins == before.pins);
  CHECK(after.ingests == 1);
  REQUIRE(w.catalog->pins({}, 10).size() == 1);
  CHECK(w.catalog->pins({}, 10)[0].digest == one);
  CHECK(w.catalog->pins({}, 10)[0].created_ns == pins[0].created_ns);
}

TEST_CASE("missing and damaged blobs are counted and keep their rows") {
  World w;
  w.recover();
  const Digest lost = w.put(w.a, "lost"), cut = w.put(w.a, "cut blob"), fine = w.put(w.a, "fine");
  w.memory->drop(lost.to_string());
  w.memory->put(cut.to_string(), bytes_of("cut"));
  const auto report = w.recover();
  CHECK(report.blobs == 2);
  CHECK(report.missing == 1);
  CHECK(report.damaged == 1);
  CHECK(w.listed(w.a) == names({lost, cut, fine}));
  CHECK(w.info_code(w.a, lost) == Code::kNotFound);
  CHECK(w.info_code(w.a, cut) == Code::kDataLoss);
}

TEST_CASE("pending pins are finished where the bytes are there and dropped where not") {
  World w;
  w.recover();
  const Digest there = found(w, "there"), not_there = digest_of("not there");
  w.catalog->begin_pin(there, 5, 1, "n");
  w.catalog->begin_pin(not_there, 9, 1, {});
  w.restart();
  const auto report = w.recover();
  CHECK(report.adopted == 0);
  CHECK(report.missing == 0);
  CHECK(w.catalog->pending_pins().empty());
  CHECK(w.catalog->pinned(there));
  CHECK(w.catalog->claimants(there).empty());
  CHECK_FALSE(w.catalog->pinned(not_there));
  CHECK(w.listed(w.op) == names({there}));
}

TEST_CASE("ingests without a row and rows without an ingest are dropped, others stay") {
  World w;
  w.content->open_writer(w.call, w.a, "both", 0, {}).write(w.call, bytes_of("123"));
  w.content->open_writer(w.call, w.a, "row only", 0, {}).write(w.call, bytes_of("x"));
  w.memory->ingests.erase(w.catalog->find_ingest("a", "row only")->key);
  w.memory->ingests["bytes-only"];
  CHECK(w.recover().dropped_ingests == 2);
  CHECK(w.catalog->ingests({}).size() == 1);
  CHECK(w.memory->ingest_count() == 1);
  CHECK(w.content->open_writer(w.call, w.a, "both", 0, {}).status().offset == 3);
}

TEST_CASE("another store that lacks blobs is refused and nothing is changed") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one"), two = w.put(w.op, "two");
  w.put(w.b, "three");
  w.catalog->begin_pin(digest_of("pending"), 7, 1, {});
  w.content->open_writer(w.call, w.a, "r", 0, {}).write(w.call, bytes_of("x"));
  w.restart();
  const auto old = w.memory->blobs;
  const auto old_ingests = w.memory->ingests;
  w.memory->id = "memory-2";
  w.memory->blobs.erase(one.to_string());
  w.memory->blobs.erase(two.to_string());
  w.memory->ingests.clear();
  found(w, "stranger");
  std::string message;
  try {
    w.recover();
  } catch (const Error& e) {
    CHECK(e.code() == Code::kFailedPrecondition);
    message = e.what();
  }
  CHECK_THAT(message, Catch::Contains("memory-2") && Catch::Contains("memory-1") && Catch::Contains("lacks 2 of the 3"));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(w.catalog->store_id() == "memory-1");
  CHECK(w.catalog->pending_pins().size() == 1);
  CHECK(w.catalog->totals().blobs == 3);
  CHECK(w.catalog->ingests({}).size() == 1);
  CHECK(w.memory->has(digest_of("stranger").to_string()));

  SECTION("the old store is given back") {
    w.memory->id = "memory-1";
    w.memory->blobs = old;
    w.memory->ingests = old_ingests;
    const auto report = w.recover();
    CHECK(report.missing == 0);
    CHECK(report.adopted == 0);
    CHECK(report.dropped_ingests == 0);
  }
  SECTION("the new one is taken without them") {
    content::RecoveryOptions options;
    options.allow_missing = true;
    const auto report = w.recover(options);
    CHECK(report.missing == 2);
    CHECK(report.adopted == 1);
    CHECK(w.catalog->store_id() == "memory-2");
    CHECK(w.info_code(w.a, one) == Code::kNotFound);
    CHECK(code_of([&] { w.recover(); }) == Code::kOk);  // it is the catalog's store from now on
  }
}

TEST_CASE("another store that has everything is taken") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.memory->id = "copy";
  CHECK(w.recover().missing == 0);
  CHECK(w.catalog->store_id() == "copy");
}

TEST_CASE("a store without an id is refused") {
  World w;
  found(w, "one");
  w.memory->id.clear();
  CHECK(code_of([&] { w.recover(); }) == Code::kInternal);
  CHECK(w.catalog->totals().blobs == 0);
}

TEST_CASE("nothing is removed from a store that is open read-only") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one");
  w.memory->ingests["bytes-only"];
  w.memory->read_only = true;
  CHECK(w.recover().dropped_ingests == 0);
  CHECK(w.memory->ingest_count() == 1);
  CHECK(w.info_code(w.a, one) == Code::kOk);
}

TEST_CASE("a file whose name is no digest is not served") {
  World w;
  w.memory->put("sha256:nonsense", bytes_of("x"));
  CHECK(w.recover().blobs == 0);
  CHECK(w.listed(w.op).empty());
}

TEST_CASE("many blobs are taken in") {
  World w;
  for (int i = 0; i < 2500; ++i) found(w, "blob " + std::to_string(i));
  CHECK(w.recover().adopted == 2500);
  CHECK(w.recover().adopted == 0);
  CHECK(w.listed(w.op).size() == 2500);
}
