// The contract of each of the catalog's functions.
#include "host/catalog/fixture.hpp"

namespace ipcs::catalog::testing {
namespace {

struct Fixture {
  TempDir dir;
  std::string path = dir / "catalog.db";
  std::unique_ptr<Catalog> catalog = Catalog::open(path);

  void reopen() {
    catalog.reset();
    check_file(path);
    catalog = Catalog::open(path);
  }
};

const std::string kBytes("a\0\xff\n'%", 6);  // neither text nor UTF-8

TEST_CASE_METHOD(Fixture, "a claim makes a blob visible to its client alone") {
  CHECK_FALSE(catalog->find("a", digest(1)));
  CHECK_FALSE(catalog->find_any("a", digest(1)));
  const Labels labels{{"key", "value"}, {kBytes, kBytes}, {"empty", ""}};
  catalog->claim("a", digest(1), 7, 100, &labels);

  for (int i = 0; i < 2; ++i, reopen()) {
    const auto blob = catalog->find("a", digest(1));
    REQUIRE(blob);
    CHECK(blob->digest == digest(1));
    CHECK(blob->size == 7);
    CHECK(blob->created_ns == 100);
    CHECK(blob->updated_ns == 100);
    CHECK(blob->labels == labels);
    CHECK_FALSE(catalog->find("b", digest(1)));
    REQUIRE(catalog->find_any("b", digest(1)));
    CHECK(catalog->find_any("b", digest(1))->labels.empty());
    CHECK(catalog->find_any("a", digest(1))->labels == labels);
    CHECK(catalog->find(kOperator, digest(1)));
    CHECK(catalog->claimants(digest(1)) == std::vector<std::string>{"a"});
  }
}

TEST_CASE_METHOD(Fixture, "a claim made again keeps times and labels, takes size and given labels") {
  const Labels labels{{"k", "v"}}, others{{"x", "y"}};
  catalog->claim("a", digest(1), 7, 100, &labels);
  catalog->claim("a", digest(1), 7, 200, nullptr);
  CHECK(catalog->find("a", digest(1))->created_ns == 100);
  CHECK(catalog->find("a", digest(1))->labels == labels);
  catalog->claim("a", digest(1), 8, 300, nullptr);
  CHECK(catalog->find("a", digest(1))->size == 8);
  CHECK(catalog->find("a", digest(1))->labels == labels);
  catalog->claim("a", digest(1), 8, 400, &others);
  CHECK(catalog->find("a", digest(1))->created_ns == 100);
  CHECK(catalog->find("a", digest(1))->labels == others);
  const Labels none;
  catalog->claim("a", digest(1), 8, 500, &none);
  CHECK(catalog->find("a", digest(1))->labels.empty());
  CHECK(error_of([&] { catalog->claim("", digest(1), 8, 1, nullptr); }).code() == Code::kInvalidArgument);
  CHECK(error_of([&] { catalog->claim("a", digest(1), uint64_t{1} << 63, 1, nullptr); }).code() ==
        Code::kInvalidArgument);
}

TEST_CASE_METHOD(Fixture, "clients are those with claims or ingests, the operator is none") {
  CHECK(catalog->clients().empty());
  catalog->claim("c", digest(1), 7, 1, nullptr);
  catalog->claim("a", digest(1), 7, 1, nullptr);
  catalog->claim("a", digest(2), 7, 1, nullptr);
  catalog->pin(digest(3), 7, 1, "");
  catalog->put_ingest({"key-1", "b", "ref", {}, 0, 1, 1});
  catalog->put_ingest({"key-2", "c", "ref", {}, 0, 1, 1});
  catalog->put_ingest({"key-3", kOperator, "ref", {}, 0, 1, 1});
  reopen();
  CHECK(catalog->clients() == std::vector<std::string>{"a", "b", "c"});
  catalog->drop_ingest("key-1");
  catalog->drop_ingest("key-2");
  catalog->unclaim("a", digest(1));
  CHECK(catalog->clients() == std::vector<std::string>{"a", "c"});
}

TEST_CASE_METHOD(Fixture, "the last hold that goes tells the caller to remove the bytes") {
  CHECK_FALSE(catalog->unclaim("a", digest(1)));
  catalog->claim("a", digest(1), 7, 1, nullptr);
  catalog->claim("b", digest(1), 7, 2, nullptr);
  catalog->pin(digest(1), 7, 3, "mine");
  CHECK(catalog->claimants(digest(1)) == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(catalog->unclaim("a", digest(1)));
  CHECK_FALSE(catalog->unclaim("a", digest(1)));
  CHECK_FALSE(catalog->unclaim("b", digest(1)));
  CHECK(catalog->find_any("a", digest(1)));
  CHECK(catalog->unpin(digest(1)));
  CHECK_FALSE(catalog->unpin(digest(1)));
  CHECK_FALSE(catalog->find_any("a", digest(1)));

  catalog->pin(digest(2), 7, 3, "");
  catalog->claim("a", digest(2), 7, 1, nullptr);
  CHECK_FALSE(catalog->unpin(digest(2)));
  CHECK(catalog->unclaim("a", digest(2)));
}

TEST_CASE_METHOD(Fixture, "labels change by key or as a whole, for one client at a time") {
  CHECK_FALSE(catalog->update_labels("a", digest(1), {}, 5));
  const Labels labels{{"keep", "1"}, {"change", "2"}, {"drop", "3"}};
  catalog->claim("a", digest(1), 7, 100, &labels);
  catalog->claim("b", digest(1), 7, 100, nullptr);
  const auto blob =
      catalog->update_labels("a", digest(1), {false, {{"change", "4"}, {"drop", ""}, {"new", kBytes}}}, 200);
  REQUIRE(blob);
  CHECK(blob->labels == Labels{{"keep", "1"}, {"change", "4"}, {"new", kBytes}});
  CHECK(blob->updated_ns == 200);
  CHECK(blob->created_ns == 100);
  CHECK(catalog->find("a", digest(1))->labels == blob->labels);
  CHECK(catalog->find("a", digest(1))->updated_ns == 200);
  CHECK(catalog->find("b", digest(1))->labels.empty());
  CHECK(catalog->update_labels("a", digest(1), {true, {{"only", "x"}}}, 300)->labels == Labels{{"only", "x"}});
  catalog->unclaim("a", digest(1));
  CHECK_FALSE(catalog->update_labels("a", digest(1), {true, labels}, 400));
  catalog->claim("a", digest(1), 7, 500, nullptr);
  CHECK(catalog->find("a", digest(1))->labels.empty());
}

TEST_CASE_METHOD(Fixture, "the operator's labels live as long as the blob is held by anyone") {
  CHECK_FALSE(catalog->update_labels(kOperator, digest(1), {true, {{"k", "v"}}}, 1));
  catalog->pin(digest(1), 7, 100, "");
  REQUIRE(catalog->update_labels(kOperator, digest(1), {true, {{"k", "v"}}}, 200));
  reopen();
  CHECK(catalog->find_any(kOperator, digest(1))->labels == Labels{{"k", "v"}});
  CHECK(catalog->find_any("", digest(1))->updated_ns == 200);
  CHECK(catalog->find_any("a", digest(1))->labels.empty());
  CHECK(catalog->list("", "", 10).at(0).labels == Labels{{"k", "v"}});
  catalog->claim("a", digest(1), 7, 1, nullptr);
  CHECK_FALSE(catalog->unpin(digest(1)));
  CHECK(catalog->find_any(kOperator, digest(1))->labels == Labels{{"k", "v"}});
  CHECK(catalog->unclaim("a", digest(1)));
  catalog->pin(digest(1), 7, 100, "");
  CHECK(catalog->find_any(kOperator, digest(1))->labels.empty());
}

TEST_CASE_METHOD(Fixture, "list gives pages in the order of the digests") {
  std::vector<std::string> all, own;
  for (int i = 0; i < 60; ++i) {
    const Digest d = Digest::of(std::to_string(i), static_cast<oci::Algorithm>(i % 3));
    i % 4 == 0 ? catalog->pin(d, 1, 1, "") : catalog->claim(i % 2 ? "a" : "b", d, 1, 1, nullptr);
    all.push_back(d.to_string());
    if (i % 4 != 0 && i % 2) own.push_back(d.to_string());
  }
  std::sort(all.begin(), all.end());
  std::sort(own.begin(), own.end());
  for (const std::string client : {"", "a"}) {
    for (const size_t limit : {size_t{1}, size_t{7}, size_t{1000}}) {
      std::vector<std::string> seen;
      for (std::string after;;) {
        const auto page = catalog->list(client, after, limit);
        CHECK(page.size() <= limit);
        if (page.empty()) break;
        for (const Blob& blob : page) seen.push_back(blob.digest.to_string());
        after = seen.back();
      }
      CHECK(seen == (client.empty() ? all : own));
    }
  }
  CHECK(catalog->list("nobody", "", 10).empty());
  CHECK(catalog->list("a", "", 0).empty());
  CHECK(error_of([&] { catalog->list("a", "sha256:", 10); }).code() == Code::kInvalidArgument);
}

TEST_CASE_METHOD(Fixture, "forget drops every trace of a blob") {
  catalog->claim("a", digest(1), 7, 1, nullptr);
  catalog->claim("b", digest(1), 7, 1, nullptr);
  catalog->pin(digest(1), 7, 1, "");
  catalog->claim("a", digest(2), 7, 1, nullptr);
  catalog->forget(digest(1));
  catalog->forget(digest(1));
  CHECK_FALSE(catalog->find_any("", digest(1)));
  CHECK_FALSE(catalog->pinned(digest(1)));
  CHECK(catalog->claimants(digest(1)).empty());
  CHECK(catalog->find("a", digest(2)));
  reopen();
  CHECK(catalog->totals().blobs == 1);
}

TEST_CASE_METHOD(Fixture, "a pin that is there keeps its time and takes the note") {
  catalog->pin(digest(1), 7, 100, kBytes);
  CHECK(catalog->pinned(digest(1)));
  catalog->pin(digest(1), 9, 200, "new");
  reopen();
  const auto pins = catalog->pins("", 10);
  REQUIRE(pins.size() == 1);
  CHECK(pins[0].digest == digest(1));
  CHECK(pins[0].size == 9);
  CHECK(pins[0].created_ns == 100);
  CHECK(pins[0].note == "new");
  catalog->pin(digest(2), 1, 1, kBytes);
  CHECK(catalog->pins("", 1).size() == 1);
  const auto rest = catalog->pins(catalog->pins("", 1)[0].digest.to_string(), 10);
  CHECK(rest.size() == 1);
  CHECK((rest[0].note == kBytes || catalog->pins("", 1)[0].note == kBytes));
}

TEST_CASE_METHOD(Fixture, "each owner has a pin of his own on a blob") {
  catalog->pin(digest(1), 7, 100, "mine");
  catalog->pin(digest(1), 7, 200, "one", "run 1");
  catalog->pin(digest(1), 7, 300, "two", "run 2");
  catalog->pin(digest(1), 7, 400, "two again", "run 2");
  catalog->pin(digest(2), 1, 1, "", "run 2");
  reopen();
  CHECK(catalog->pin_owners(digest(1)) == std::vector<std::string>{kOperator, "run 1", "run 2"});
  CHECK(catalog->pinned(digest(1), ""));  // the operator
  CHECK_FALSE(catalog->pinned(digest(2), kOperator));
  CHECK(catalog->totals().pins == 2);
  CHECK(catalog->pins("", 100).size() == 4);
  const Pin again = catalog->pins("", 100)[digest(1) < digest(2) ? 2 : 3];
  CHECK((again.owner == "run 2" && again.note == "two again" && again.created_ns == 300));

  // A run that ends leaves what another one works on.
  CHECK_FALSE(catalog->unpin(digest(1), "run 1"));
  CHECK_FALSE(catalog->unpin(digest(1), "run 1"));
  CHECK(catalog->find_any("", digest(1)));
  CHECK_FALSE(catalog->unpin(digest(1)));  // the operator's own
  CHECK(catalog->pinned(digest(1)));
  CHECK(catalog->unpin(digest(1), "run 2"));
  CHECK_FALSE(catalog->find_any("", digest(1)));

  catalog->pin(digest(2), 1, 1, "");
  CHECK(catalog->unpin_all(digest(2)));
  CHECK_FALSE(catalog->unpin_all(digest(2)));
  CHECK(catalog->totals().blobs == 0);
}

TEST_CASE_METHOD(Fixture, "a pending pin beside another owner's") {
  catalog->pin(digest(1), 7, 1, "", "run 1");
  catalog->begin_pin(digest(1), 7, 1, "mine");
  reopen();
  CHECK(catalog->pending_pins() == std::vector<Digest>{digest(1)});
  CHECK(catalog->find_any("", digest(1)));
  CHECK(catalog->list("", "", 10).size() == 1);
  CHECK(catalog->totals().bytes == 7);
  CHECK(catalog->pin_owners(digest(1)) == std::vector<std::string>{"run 1"});
  SECTION("is cancelled") {
    CHECK_FALSE(catalog->cancel_pin(digest(1)));
    CHECK(catalog->unpin(digest(1), "run 1"));
  }
  SECTION("is finished") {
    catalog->finish_pin(digest(1));
    CHECK_FALSE(catalog->unpin(digest(1), "run 1"));
    CHECK(catalog->pins("", 1).at(0).note == "mine");
  }
  SECTION("stays when that goes") {
    CHECK_FALSE(catalog->unpin(digest(1), "run 1"));
    CHECK_FALSE(catalog->find_any("", digest(1)));
    CHECK(catalog->totals().blobs == 0);
    CHECK(catalog->cancel_pin(digest(1)));
  }
}

TEST_CASE_METHOD(Fixture, "a pending pin holds a blob that is not there yet") {
  catalog->begin_pin(digest(1), 7, 100, "note");
  for (int i = 0; i < 2; ++i, reopen()) {
    CHECK(catalog->pending_pins() == std::vector<Digest>{digest(1)});
    CHECK_FALSE(catalog->pinned(digest(1)));
    CHECK_FALSE(catalog->find_any("", digest(1)));
    CHECK(catalog->pins("", 10).empty());
    CHECK(catalog->list("", "", 10).empty());
    CHECK(catalog->totals().blobs == 0);
    CHECK(catalog->totals().bytes == 0);
    CHECK(catalog->totals().pins == 0);
  }
  catalog->claim("a", digest(1), 7, 1, nullptr);
  CHECK(catalog->find_any("", digest(1)));
  CHECK(catalog->totals().bytes == 7);
  CHECK_FALSE(catalog->unclaim("a", digest(1)));
  CHECK_FALSE(catalog->find_any("", digest(1)));

  catalog->finish_pin(digest(1));
  CHECK(catalog->pending_pins().empty());
  CHECK(catalog->pinned(digest(1)));
  CHECK(catalog->pins("", 10).at(0).note == "note");
  CHECK(catalog->find_any("", digest(1)));

  catalog->begin_pin(digest(1), 99, 200, "other");  // changes nothing
  CHECK(catalog->pinned(digest(1)));
  CHECK(catalog->pins("", 10).at(0).note == "note");
  CHECK(catalog->pins("", 10).at(0).size == 7);
  CHECK_FALSE(catalog->cancel_pin(digest(1)));
  CHECK(catalog->pinned(digest(1)));

  catalog->begin_pin(digest(2), 7, 100, "");
  CHECK(catalog->cancel_pin(digest(2)));
  CHECK_FALSE(catalog->cancel_pin(digest(2)));
  catalog->begin_pin(digest(3), 7, 100, "");
  CHECK(catalog->unpin(digest(3)));
  catalog->finish_pin(digest(3));
  CHECK_FALSE(catalog->pinned(digest(3)));
}

TEST_CASE_METHOD(Fixture, "an ingest is found by client and ref, which may be any bytes") {
  const Ingest first{"key-1", "a", kBytes, "", 0, 10, 11};
  const Ingest second{"key-2", "b", kBytes, digest(1).to_string(), 100, 5, 6};
  const Ingest huge{"key-3", "a", std::string(70000, '\0') + "x", "", 1, 20, 21};
  for (const Ingest& ingest : {first, second, huge}) catalog->put_ingest(ingest);
  const auto keys = [&](const std::string& client) {
    std::vector<std::string> names;
    for (const Ingest& ingest : catalog->ingests(client)) names.push_back(ingest.key);
    return names;
  };
  reopen();
  CHECK(keys("") == std::vector<std::string>{"key-2", "key-1", "key-3"});
  CHECK(keys("a") == std::vector<std::string>{"key-1", "key-3"});
  const auto found = catalog->find_ingest("b", kBytes);
  REQUIRE(found);
  CHECK(found->key == "key-2");
  CHECK(found->ref == kBytes);
  CHECK(found->expected == second.expected);
  CHECK(found->total == 100);
  CHECK(found->started_ns == 5);
  CHECK(found->updated_ns == 6);
  CHECK(catalog->find_ingest("a", huge.ref));
  CHECK_FALSE(catalog->find_ingest("a", std::string(1, kBytes[0])));

  catalog->touch_ingest("key-2", 99);
  CHECK(catalog->find_ingest("b", kBytes)->updated_ns == 99);
  catalog->put_ingest({"key-4", "b", kBytes, "", 3, 7, 8});
  CHECK(catalog->find_ingest("b", kBytes)->key == "key-4");
  CHECK(catalog->totals().ingests == 3);
  CHECK(error_of([&] { catalog->put_ingest({"key-1", "b", "other", "", 3, 7, 8}); }).code() == Code::kAlreadyExists);
  CHECK(catalog->find_ingest("a", kBytes)->key == "key-1");
  catalog->drop_ingest("key-1");
  catalog->drop_ingest("key-1");
  catalog->touch_ingest("key-1", 1);
  CHECK(keys("") == std::vector<std::string>{"key-4", "key-3"});
}

TEST_CASE_METHOD(Fixture, "totals count blobs once, whatever holds them") {
  const uint64_t huge = (uint64_t{1} << 62) + 3;
  catalog->claim("a", digest(1), huge, 1, nullptr);
  catalog->claim("b", digest(1), huge, 1, nullptr);
  catalog->pin(digest(1), huge, 1, "");
  catalog->claim("a", digest(2), huge, 1, nullptr);
  catalog->pin(digest(3), 5, 1, "");
  const Totals totals = catalog->totals();
  CHECK(totals.blobs == 3);
  CHECK(totals.bytes == 2 * huge + 5);
  CHECK(totals.claims == 3);
  CHECK(totals.pins == 2);
  CHECK(totals.ingests == 0);
}

TEST_CASE_METHOD(Fixture, "the store's id is remembered") {
  CHECK(catalog->store_id().empty());
  catalog->set_store_id("one");
  catalog->set_store_id("two");
  reopen();
  CHECK(catalog->store_id() == "two");
}

TEST_CASE_METHOD(Fixture, "the previous store's id is remembered until it is cleared") {
  CHECK(catalog->previous_store_id().empty());
  catalog->set_store_id("two");
  catalog->set_previous_store_id("one");
  reopen();
  CHECK(catalog->previous_store_id() == "one");
  CHECK(catalog->store_id() == "two");
  catalog->set_previous_store_id({});
  reopen();
  CHECK(catalog->previous_store_id().empty());
}

TEST_CASE_METHOD(Fixture, "a transaction takes effect as a whole or not at all") {
  catalog->in_transaction([&] {
    catalog->claim("a", digest(1), 1, 1, nullptr);
    CHECK(catalog->find("a", digest(1)));  // its own writes
    CHECK(catalog->list("", "", 10).size() == 1);
    catalog->in_transaction([&] { catalog->pin(digest(2), 1, 1, ""); });
    CHECK(catalog->totals().blobs == 2);
  });
  CHECK(catalog->find("a", digest(1)));

  CHECK_THROWS_AS(catalog->in_transaction([&] {
    catalog->unclaim("a", digest(1));
    catalog->claim("a", digest(3), 1, 1, nullptr);
    throw std::out_of_range("x");
  }),
                  std::out_of_range);
  CHECK(catalog->find("a", digest(1)));
  CHECK_FALSE(catalog->find("a", digest(3)));

  catalog->put_ingest({"key", "a", "ref", "", 0, 1, 1});
  const Error swallowed = error_of([&] {
    catalog->in_transaction([&] {
      catalog->claim("a", digest(4), 1, 1, nullptr);
      CHECK_THROWS_AS(catalog->put_ingest({"key", "a", "other", "", 0, 1, 1}), Error);
      CHECK(error_of([&] { catalog->claim("a", digest(5), 1, 1, nullptr); }).code() == Code::kAborted);
    });
  });
  CHECK(swallowed.code() == Code::kAborted);
  CHECK_FALSE(catalog->find("a", digest(4)));
  catalog->claim("a", digest(4), 1, 1, nullptr);  // the catalog works on
  reopen();
  CHECK(catalog->totals().blobs == 3);
}

}  // namespace
}  // namespace ipcs::catalog::testing
