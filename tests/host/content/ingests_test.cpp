// Status, listing and abort of ingests, also while their writers are busy.
#include <future>

#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::Filter;
using content::Writer;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> refs(World& w, const content::Client& client, const Filter& filter = Filter::parse({})) {
  std::vector<std::string> found;
  for (const auto& status : w.content->list_statuses(w.call, client, filter)) found.push_back(status.ref);
  return found;
}

// Whether `body` returns within five seconds. A call that hangs fails the test and ends it when the gate opens.
template <class Body>
bool is_prompt(Gate& gate, Body body) {
  auto done = std::async(std::launch::async, body);
  const bool prompt = done.wait_for(5s) == std::future_status::ready;
  if (!prompt) gate.open();
  done.get();
  return prompt;
}

}  // namespace

TEST_CASE("a client sees its own ingests, the operator all") {
  World w;
  for (const auto* client : {&w.a, &w.b, &w.op}) {
    for (const std::string ref : {"same", "own"}) {
      w.content->open_writer(w.call, *client, ref + (ref == "own" ? client->name : ""), 9, {})
          .write(w.call, bytes_of(client->name));
    }
  }
  CHECK(refs(w, w.a) == Names{"same", "owna"});
  CHECK(refs(w, w.b) == Names{"same", "ownb"});
  CHECK(refs(w, w.op) == Names{"same", "owna", "same", "ownb", "same", "ownoperator"});
  CHECK(refs(w, w.a, Filter::parse(std::vector<std::string>{"ref==owna"})) == Names{"owna"});
  CHECK(code_of([&] { w.content->status(w.call, w.a, "ownb"); }) == Code::kNotFound);
  CHECK(w.content->status(w.call, w.op, "ownb").client == "b");
  CHECK(w.content->status(w.call, w.op, "same").client == "operator");
}

TEST_CASE("the status of an open and of a closed ingest") {
  World w;
  std::optional<Writer> writer(w.content->open_writer(w.call, w.a, "r", 10, {}));
  writer->write(w.call, bytes_of("1234"));
  const auto open = w.content->status(w.call, w.a, "r");
  CHECK(open.offset == 4);
  CHECK(open.total == 10);
  CHECK(open.updated_ns > open.started_ns);
  writer.reset();
  const auto closed = w.content->status(w.call, w.a, "r");
  CHECK(closed.offset == 4);
  CHECK(closed.total == 10);
  CHECK(closed.started_ns == open.started_ns);
  CHECK(closed.updated_ns == open.updated_ns);
}

TEST_CASE("an ingest whose bytes are gone has no status") {
  World w;
  { w.content->open_writer(w.call, w.a, "gone", 0, {}); }
  { w.content->open_writer(w.call, w.a, "there", 0, {}); }
  const std::string key = w.catalog->find_ingest("a", "gone")->key;
  w.memory->ingests.erase(key);
  CHECK(refs(w, w.a) == Names{"there"});
  CHECK(code_of([&] { w.content->status(w.call, w.a, "gone"); }) == Code::kNotFound);
}

TEST_CASE("abort drops a closed ingest; of an unknown ref it is no error") {
  World w;
  w.content->open_writer(w.call, w.a, "r", 0, {}).write(w.call, bytes_of("x"));
  w.content->abort(w.call, w.b, "r");  // not b's
  CHECK(refs(w, w.a) == Names{"r"});
  w.content->abort(w.call, w.a, "r");
  CHECK(refs(w, w.a).empty());
  CHECK(w.memory->ingest_count() == 0);
  CHECK_NOTHROW(w.content->abort(w.call, w.a, "r"));
  CHECK_NOTHROW(w.content->abort(w.call, w.a, ""));
  CHECK(w.content->open_writer(w.call, w.a, "r", 0, {}).status().offset == 0);
}

TEST_CASE("abort of an ingest that is being written ends its writer") {
  World w;
  std::optional<Writer> writer(w.content->open_writer(w.call, w.a, "r", 0, {}));
  writer->write(w.call, bytes_of("x"));
  const content::Client& who = GENERATE(false, true) ? w.op : w.a;
  w.content->abort(w.call, who, "r");
  CHECK(w.memory->ingest_count() == 0);
  CHECK_NOTHROW(w.content->abort(w.call, w.a, "r"));
  SECTION("write") { CHECK(code_of([&] { writer->write(w.call, bytes_of("y")); }) == Code::kAborted); }
  SECTION("commit") { CHECK(code_of([&] { writer->commit(w.call, 0, {}, nullptr); }) == Code::kAborted); }
  SECTION("truncate") { CHECK(code_of([&] { writer->truncate(w.call); }) == Code::kAborted); }
  writer.reset();
  CHECK(w.listed(w.op).empty());
  CHECK(w.content->open_writer(w.call, w.a, "r", 0, {}).status().offset == 0);
}

TEST_CASE("abort wins against a writer that closes at the same time, and never meets an open ingest") {
  World w;
  for (int round = 0; round < 200; ++round) {
    std::optional<Writer> writer(w.content->open_writer(w.call, w.a, "r", 0, {}));
    writer->write(w.call, bytes_of("x"));
    std::thread closer([&] { writer.reset(); });
    w.content->abort(w.call, w.a, "r");
    closer.join();
    REQUIRE(w.memory->ingest_count() == 0);
    REQUIRE(w.catalog->ingests({}).empty());
  }
}

TEST_CASE("abort while the ref is opened again and again") {
  World w;
  std::atomic<bool> stop{false};
  std::thread opener([&] {
    Call call;
    while (!stop) {
      try {
        w.content->open_writer(call, w.a, "r", 0, {}).write(call, bytes_of("x"));
      } catch (const Error& e) {
        if (e.code() != Code::kUnavailable && e.code() != Code::kAborted) throw;
      }
    }
  });
  for (int round = 0; round < 500; ++round) w.content->abort(w.call, w.a, "r");
  stop = true;
  opener.join();
  w.content->abort(w.call, w.a, "r");
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("nothing else waits for a commit that hangs in the disk") {
  World w;
  const auto other = w.put(w.a, "other");
  w.content->open_writer(w.call, w.a, "closed", 0, {}).write(w.call, bytes_of("123"));
  Gate& disk = w.memory->commit_gate;
  disk.close();
  auto commit = std::async(std::launch::async, [&] {
    Call call;
    Writer writer = w.content->open_writer(call, w.a, "hangs", 7, {});
    writer.write(call, bytes_of("hanging"));
    return writer.commit(call, 7, {}, nullptr);
  });
  REQUIRE(disk.wait_for(2));  // the first was "other"

  CHECK(is_prompt(disk, [&] { CHECK(w.content->status(w.call, w.a, "hangs").offset == 7); }));
  CHECK(is_prompt(disk, [&] { CHECK(w.content->status(w.call, w.a, "closed").offset == 3); }));
  CHECK(is_prompt(disk, [&] { CHECK(refs(w, w.a).size() == 2); }));
  CHECK(is_prompt(disk, [&] { CHECK(w.info_code(w.b, other) == Code::kOk); }));
  CHECK(is_prompt(disk, [&] { CHECK(w.info_code(w.a, digest_of("hanging")) == Code::kNotFound); }));
  CHECK(is_prompt(disk, [&] { CHECK(w.read(other) == "other"); }));
  CHECK(is_prompt(disk, [&] { CHECK(w.listed(w.a).size() == 1); }));
  CHECK(is_prompt(disk, [&] { w.content->abort(w.call, w.a, "closed"); }));
  CHECK(is_prompt(disk, [&] { w.content->pin(w.call, other, {}); }));
  CHECK(is_prompt(disk, [&] { w.content->remove(w.call, w.a, other); }));
  CHECK(is_prompt(disk, [&] { w.content->update(w.call, w.b, other, {{"k", "v"}}, {}); }));
  CHECK(is_prompt(disk, [&] { w.content->open_writer(w.call, w.a, "new", 0, {}).write(w.call, bytes_of("x")); }));
  CHECK(is_prompt(disk, [&] {
    CHECK(code_of([&] { w.content->open_writer(w.call, w.a, "hangs", 0, {}); }) == Code::kUnavailable);
  }));
  CHECK(commit.wait_for(0s) == std::future_status::timeout);  // it did hang all the while
  disk.open();
  CHECK(commit.get() == digest_of("hanging"));
}
