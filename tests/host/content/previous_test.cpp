// A new store with the one before it: what is served from where, what is remembered, what is refused.
#include "content/copy.hpp"
#include "content/usage.hpp"
#include "content/verify.hpp"
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::Stores;
using oci::Digest;

namespace {

Digest lay(const std::shared_ptr<Memory>& memory, std::string_view text) {
  memory->put(digest_of(text).to_string(), bytes_of(text));
  return digest_of(text);
}

std::string refusal(World& w) {
  try {
    w.recover();
  } catch (const Error& e) {
    CHECK(e.code() == Code::kFailedPrecondition);
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
    return e.what();
  }
  return "it was accepted";
}

content::RecoveryReport recover_without_missing(World& w) {
  content::RecoveryOptions options;
  options.allow_missing = true;
  return w.recover(options);
}

}  // namespace

TEST_CASE("held blobs that the new store lacks are served by the previous one") {
  World w;
  w.recover();
  const content::Labels labels{{"k", "v"}};
  const Digest one = w.put(w.a, "one", &labels), pinned = w.put(w.op, "pinned");
  const auto before = w.content->info(w.call, w.a, one);
  w.switch_store();
  const auto report = w.recover();
  CHECK(report.blobs == 0);
  CHECK(report.missing == 0);
  CHECK(report.damaged == 0);
  CHECK(report.to_copy.count == 2);
  CHECK(report.to_copy.bytes == 9);
  CHECK(w.catalog->store_id() == "memory-2");
  CHECK(w.catalog->previous_store_id() == "memory-1");

  const auto info = w.content->info(w.call, w.a, one);
  CHECK(info.size == 3);
  CHECK(info.labels == labels);
  CHECK(info.created_ns == before.created_ns);
  CHECK(w.read(one) == "one");
  CHECK(w.read(pinned) == "pinned");
  CHECK(w.info_code(w.b, one) == Code::kOk);  // makes a claim
  CHECK(w.catalog->claimants(one) == Names{"a", "b"});
  CHECK(code_of([&] { w.content->open_writer(w.call, w.b, "r", 0, pinned.to_string()); }) == Code::kAlreadyExists);
  CHECK(w.catalog->claimants(pinned) == Names{"b"});
  w.content->pin(w.call, one, "keep");
  CHECK(w.catalog->pinned(one));
  w.content->update(w.call, w.a, one, {{"k", "w"}}, {});
  CHECK(w.content->info(w.call, w.a, one).labels.at("k") == "w");
  CHECK(w.memory->blobs.empty());
  CHECK(content::losses(w.call, *w.content).missing == 0);
}

TEST_CASE("what nobody holds is not served by the previous store, so that a Delete is one") {
  World w;
  w.recover();
  const Digest mine = w.put(w.a, "mine"), shared = w.put(w.a, "shared"), pinned = w.put(w.op, "pinned");
  w.content->info(w.call, w.b, shared);
  w.switch_store();
  w.recover();
  CHECK(w.read(mine) == "mine");  // open in the cache
  w.content->remove(w.call, w.a, mine);
  w.content->remove(w.call, w.a, shared);
  w.content->unpin(w.call, pinned);
  const auto gone = [&] {
    CHECK(w.info_code(w.a, mine) == Code::kNotFound);
    CHECK(w.info_code(w.op, mine) == Code::kNotFound);
    CHECK(code_of([&] { w.content->open(w.call, mine); }) == Code::kNotFound);
    CHECK_FALSE(w.content->claim_if_stored(w.call, w.a, mine));
    CHECK(w.info_code(w.op, pinned) == Code::kNotFound);
    CHECK(code_of([&] { w.content->pin(w.call, pinned, {}); }) == Code::kNotFound);
    CHECK(w.read(shared) == "shared");
    CHECK(w.listed(w.op) == names({shared}));
  };
  gone();
  CHECK(w.before->has(mine.to_string()));  // it was not touched
  CHECK(w.stores->lacking().count == 1);

  // Nor does a restart bring them back.
  w.restart();
  w.use(w.memory, w.before);
  CHECK(w.recover().adopted == 0);
  gone();
}

TEST_CASE("a deleted blob that is written again lies in the new store only") {
  World w;
  w.recover();
  const Digest digest = w.put(w.a, "again");
  w.switch_store();
  w.recover();
  w.content->remove(w.call, w.a, digest);
  CHECK(w.put(w.a, "again") == digest);
  CHECK(w.memory->has(digest.to_string()));
  w.content->remove(w.call, w.a, digest);
  CHECK_FALSE(w.memory->has(digest.to_string()));
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
}

TEST_CASE("a write of a blob that the previous store serves puts it into the new one") {
  World w;
  w.recover();
  const Digest digest = w.put(w.a, "blob");
  w.switch_store();
  w.recover();
  CHECK(w.read(digest) == "blob");
  CHECK(w.put(w.b, "blob") == digest);
  CHECK(w.memory->has(digest.to_string()));
  CHECK(w.stores->lacking().count == 0);
  CHECK(w.stores->lacking().bytes == 0);
  w.before->drop(digest.to_string());
  CHECK(w.read(digest) == "blob");
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
}

TEST_CASE("a blob that is open from the previous store is read from the new one once it is written there") {
  World w;
  w.recover();
  const Digest digest = w.put(w.a, "right");
  w.memory->put(digest.to_string(), bytes_of("wrong"));
  w.switch_store();
  w.recover();
  CHECK(w.read(digest) == "wrong");  // nobody has verified it
  w.put(w.b, "right");
  CHECK(w.read(digest) == "right");
}

TEST_CASE("a new catalog takes over what both stores hold") {
  World w;
  const auto former = std::make_shared<Memory>();
  former->id = "memory-0";
  former->read_only = true;
  const Digest old = lay(former, "old"), both = lay(former, "both"), fresh = lay(w.memory, "fresh");
  lay(w.memory, "both");
  w.use(w.memory, former);
  SECTION("for the operator") {
    CHECK(w.recover().adopted == 3);
    for (const Digest& digest : {old, both, fresh}) CHECK(w.catalog->pinned(digest));
  }
  SECTION("for containerd") {
    content::RecoveryOptions options;
    options.adopt_for_containerd = true;
    CHECK(w.recover(options).adopted == 3);
    CHECK(w.listed(w.a) == names({old, both, fresh}));
  }
  CHECK(w.stores->lacking().count == 1);
  CHECK(w.read(old) == "old");
  CHECK(w.catalog->previous_store_id() == "memory-0");
}

TEST_CASE("a commit that lost its claim before the change of stores is offered to every containerd, once") {
  World w;
  w.recover();
  const Digest cut_off = lay(w.memory, "commit cut off before its claim");
  w.switch_store();
  CHECK(w.recover().adopted == 1);
  CHECK(w.listed(w.a) == names({cut_off}));
  CHECK(w.read(cut_off) == "commit cut off before its claim");
  for (const auto& client : {w.a, w.b}) w.content->remove(w.call, client, cut_off);
  w.restart();
  CHECK(w.recover().adopted == 0);
  CHECK(w.info_code(w.a, cut_off) == Code::kNotFound);
}

TEST_CASE("a pin that a power loss left pending is finished when its blob lies in the previous store") {
  World w;
  w.recover();
  const Digest there = lay(w.memory, "there");
  w.catalog->begin_pin(there, 5, 1, {});
  w.catalog->begin_pin(digest_of("nowhere"), 7, 1, {});
  w.switch_store();
  w.recover();
  CHECK(w.catalog->pinned(there));
  CHECK(w.catalog->pending_pins().empty());
  CHECK(w.read(there) == "there");
}

TEST_CASE("without the previous store its blobs are missed, until nothing is lacking") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one");
  w.put(w.op, "two");
  w.switch_store();
  w.recover();
  const auto former = w.before;
  w.put(w.a, "three");
  w.use(w.memory, nullptr);
  const std::string message = refusal(w);
  CHECK_THAT(message, Catch::Contains("backend memory: ") && Catch::Contains("(memory-2) lacks 2 of the 3 blobs") &&
                          Catch::Contains("memory-1") && Catch::Contains("`previous`") &&
                          Catch::Contains("--allow-missing"));
  CHECK(w.catalog->previous_store_id() == "memory-1");

  SECTION("it is given back") {
    w.use(w.memory, former);
    CHECK(w.recover().to_copy.count == 2);
    CHECK(w.read(one) == "one");
  }
  SECTION("the operator does without") {
    CHECK(recover_without_missing(w).missing == 2);
    CHECK(w.catalog->previous_store_id().empty());
    CHECK(w.recover().missing == 2);
  }
  SECTION("what it had comes from elsewhere") {
    w.memory->put(one.to_string(), bytes_of("one"));
    lay(w.memory, "two");
    w.recover();
    CHECK(w.catalog->previous_store_id().empty());
  }
}

TEST_CASE("another previous store than the one that is remembered is refused where blobs are missing") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one");
  const auto right = w.memory;
  const auto wrong = std::make_shared<Memory>();
  wrong->id = "wrong";
  wrong->read_only = true;
  w.switch_store();
  w.use(w.memory, wrong);
  CHECK_THAT(refusal(w), Catch::Contains("memory-2 and wrong") && Catch::Contains("lack 1 of the 1 blobs") &&
                             Catch::Contains("the catalog describes another one (memory-1)"));
  CHECK(w.catalog->store_id() == "memory-1");
  w.use(w.memory, right);
  w.recover();
  w.use(w.memory, wrong);
  CHECK_THAT(refusal(w), Catch::Contains("blobs still lie in another one (memory-1)"));
  CHECK(w.catalog->previous_store_id() == "memory-1");
  lay(wrong, "one");  // a copy of the right one, say
  w.use(w.memory, wrong);
  w.recover();
  CHECK(w.read(one) == "one");
  CHECK(w.catalog->previous_store_id() == "wrong");
}

TEST_CASE("a third store is refused while the first still has blobs that the second lacks") {
  World w;
  w.recover();
  w.put(w.a, "first");
  const auto first = w.memory;
  w.switch_store("memory-2");
  w.recover();
  w.put(w.a, "second");
  w.switch_store("memory-3");
  CHECK_THAT(refusal(w), Catch::Contains("lack 1 of the 2 blobs") && Catch::Contains("memory-1"));
  CHECK(w.catalog->store_id() == "memory-2");
  // Back to the first, which then lacks what the second has.
  const auto second = w.before;
  w.use(second, nullptr);
  first->read_only = false;
  second->read_only = true;
  w.use(first, second);
  CHECK(w.recover().to_copy.count == 1);
  CHECK(w.catalog->store_id() == "memory-1");
  CHECK(w.catalog->previous_store_id() == "memory-2");
}

TEST_CASE("a previous store that is not needed does no harm") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one"), lost = w.put(w.a, "lost");
  w.memory->drop(lost.to_string());
  const auto unknown = std::make_shared<Memory>();
  unknown->id = "unknown";
  unknown->read_only = true;
  const Digest strange = lay(unknown, "strange");
  w.use(w.memory, unknown);
  const auto report = w.recover();
  CHECK(report.missing == 1);
  CHECK(report.adopted == 0);
  CHECK(w.catalog->previous_store_id().empty());
  CHECK(w.read(one) == "one");
  CHECK(w.info_code(w.op, strange) == Code::kNotFound);
}

TEST_CASE("one store under both names is refused") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.use(w.memory, w.memory);
  CHECK_THAT(refusal(w),
             Catch::Contains("backend memory and previous backend before: are one and the same store (memory-1)"));
}

TEST_CASE("a start that is cut off changes nothing") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one");
  lay(w.memory, "without a row");
  w.switch_store();
  content::RecoveryOptions broken;
  broken.clients = {"a", content::kOperator};  // a claim for the operator's own name is refused
  CHECK(code_of([&] { w.recover(broken); }) == Code::kInvalidArgument);
  CHECK(w.catalog->store_id() == "memory-1");
  CHECK(w.catalog->previous_store_id().empty());
  w.restart();
  CHECK(w.recover().to_copy.count == 2);
  CHECK(w.read(one) == "one");
}

TEST_CASE("a blob that was cut in the previous store is data loss, and writing it heals") {
  World w;
  w.recover();
  const Digest digest = w.put(w.a, "whole blob");
  w.memory->put(digest.to_string(), bytes_of("whole"));
  w.switch_store();
  const auto report = w.recover();
  CHECK(report.damaged == 1);
  CHECK(report.missing == 0);
  CHECK(w.info_code(w.a, digest) == Code::kDataLoss);
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kDataLoss);
  CHECK(content::losses(w.call, *w.content).damaged == 1);
  CHECK(w.put(w.a, "whole blob") == digest);
  CHECK(w.read(digest) == "whole blob");
}

TEST_CASE("a blob that was cut in the new store is served by the previous one, which has it whole") {
  World w;
  w.recover();
  const Digest digest = w.put(w.a, "whole blob");
  w.switch_store();
  w.memory->put(digest.to_string(), bytes_of("whole"));
  CHECK(w.recover().damaged == 0);
  CHECK(w.read(digest) == "whole blob");
  CHECK(content::copy_blobs(w.call, *w.content, {}).complete);
  CHECK(w.memory->blobs.at(digest.to_string()).bytes->size() == 10);
  CHECK(w.read(digest) == "whole blob");
}

TEST_CASE("verify reads blobs where they lie, and takes a damaged one out of the previous store's service") {
  World w;
  w.recover();
  const Digest good = w.put(w.a, "good"), bad = w.put(w.a, "right");
  w.memory->put(bad.to_string(), bytes_of("wrong"));
  w.switch_store();
  w.recover();
  CHECK(w.read(bad) == "wrong");  // open in the cache
  std::vector<content::Finding> found;
  const auto verify = [&] {
    found.clear();
    return content::verify(w.call, *w.content, {}, {{}, [&](const content::Finding& f) { found.push_back(f); }});
  };
  CHECK(verify().done_bytes == 9);
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == content::FindingKind::kDamaged);
  CHECK(found[0].digest == bad);
  CHECK_THAT(found[0].detail, Catch::EndsWith("out of service until ipcsd starts again"));
  CHECK(w.before->quarantined.empty());
  CHECK(w.before->has(bad.to_string()));
  CHECK(w.info_code(w.a, bad) == Code::kNotFound);
  CHECK(code_of([&] { w.content->open(w.call, bad); }) == Code::kNotFound);
  CHECK(w.read(good) == "good");
  verify();
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == content::FindingKind::kMissing);

  CHECK(w.put(w.a, "right") == bad);
  CHECK(w.read(bad) == "right");
  CHECK(w.catalog->claimants(bad) == Names{"a"});
  verify();
  CHECK(found.empty());
}

TEST_CASE("a blob of the new store costs no look at the previous one") {
  World w;
  w.recover();
  w.put(w.a, "old");
  w.switch_store();
  w.recover();
  const Digest fresh = w.put(w.a, "fresh");
  std::vector<std::string> asked;
  const auto note = [&](std::string where) {
    return [&asked, where](const char* function, const plugin::Call&) { asked.push_back(where + function); };
  };
  w.memory->set_on_call(note("new "));
  w.before->set_on_call(note("previous "));
  w.content->info(w.call, w.a, fresh);
  w.read(fresh);
  CHECK(w.info_code(w.a, digest_of("unknown")) == Code::kNotFound);
  CHECK(asked == Names{"new stat_blob", "new open_blob", "new open_blob: found", "new stat_blob"});
}
