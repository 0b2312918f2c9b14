// Blobs under the digest of their root: what a commit, a check and a copy make of them.
#include "content/copy.hpp"
#include "content/verify.hpp"
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

namespace {

const Digest kRoot = digest_of("the root's bytes");

// A world whose store can prove that kRoot names the bytes "blob".
struct RootWorld : World {
  RootWorld() { memory->roots[kRoot.to_string()] = digest_of("blob").to_string(); }

  content::WriteReply commit(content::WriteSession& session, const std::string& ref, std::string_view text) {
    const Bytes bytes = bytes_of(text);
    return session.on_message(call, message(content::WriteAction::kCommit, ref, kRoot.to_string(), bytes));
  }
  void commit_once(const std::string& ref, std::string_view text) {
    content::WriteSession session(*content, a);
    commit(session, ref, text);
  }
  static content::WriteMessage message(content::WriteAction action, const std::string& ref, const std::string& expected,
                                       const Bytes& bytes) {
    content::WriteMessage made;
    made.action = action;
    made.ref = ref;
    made.expected = expected;
    made.data = bytes;
    return made;
  }
};

}  // namespace

TEST_CASE("a commit under the digest of a root is the backend's to prove") {
  RootWorld w;
  content::WriteSession session(*w.content, w.a);
  const auto reply = w.commit(session, "r", "blob");
  CHECK(reply.done);
  CHECK(reply.digest == kRoot.to_string());
  CHECK(reply.offset == 4);
  CHECK(w.listed(w.a) == names({kRoot}));
  CHECK(w.read(kRoot) == "blob");

  content::WriteSession other(*w.content, w.b);
  CHECK(code_of([&] { w.commit(other, "r", "BLOB"); }) == Code::kFailedPrecondition);
}

TEST_CASE("a commit under the digest of a stored root is answered OK, and the ingest is gone") {
  RootWorld w;
  content::WriteSession first(*w.content, w.a);
  w.commit(first, "r", "blob");

  SECTION("in one message") {
    content::WriteSession second(*w.content, w.b);
    const auto reply = w.commit(second, "r", "blob");
    CHECK((reply.done && reply.digest == kRoot.to_string() && reply.offset == 4));
  }
  SECTION("after messages that did not name it") {
    content::WriteSession second(*w.content, w.b);
    second.on_message(w.call, RootWorld::message(content::WriteAction::kStat, "r", {}, {}));
    const auto reply = w.commit(second, "", "blob");
    CHECK((reply.done && reply.digest == kRoot.to_string() && reply.offset == 4));
  }
  CHECK(w.listed(w.b) == names({kRoot}));
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.content->list_statuses(w.call, w.b, content::Filter::parse({})).empty());
}

TEST_CASE("a message before the commit that names a stored root is told that it exists") {
  RootWorld w;
  content::WriteSession first(*w.content, w.a);
  w.commit(first, "r", "blob");
  content::WriteSession second(*w.content, w.b);
  CHECK(code_of([&] {
          second.on_message(w.call, RootWorld::message(content::WriteAction::kStat, "r", kRoot.to_string(), {}));
        }) == Code::kAlreadyExists);
  CHECK(w.listed(w.b) == names({kRoot}));
}

TEST_CASE("other bytes than a stored root's are refused under its digest") {
  RootWorld w;
  content::WriteSession first(*w.content, w.a);
  w.commit(first, "r", "blob");
  content::WriteSession second(*w.content, w.b);
  CHECK(code_of([&] { w.commit(second, "r", "longer than the blob"); }) == Code::kFailedPrecondition);
  CHECK(w.listed(w.b).empty());
}

TEST_CASE("verify leaves the bytes under a root's digest to the backend") {
  RootWorld w;
  content::WriteSession session(*w.content, w.a);
  w.commit(session, "r", "blob");
  int findings = 0;
  const content::Observer observer{{}, [&](const content::Finding&) { ++findings; }};
  const content::Progress progress = content::verify(w.call, *w.content, {}, observer);
  CHECK(progress.done_blobs == 1);
  CHECK(findings == 0);
  w.memory->readable = 2;
  content::verify(w.call, *w.content, {}, observer);
  CHECK(findings == 1);
  CHECK(w.info_code(w.a, kRoot) == Code::kNotFound);
}

TEST_CASE("a copy keeps the digest of a root where the new store can prove it") {
  RootWorld w;
  w.commit_once("r", "blob");
  const Digest plain = w.put(w.a, "plain");
  w.recover();
  w.switch_store();
  std::vector<content::Finding> findings;
  const content::Observer observer{{}, [&](const content::Finding& finding) { findings.push_back(finding); }};

  SECTION("it can") {
    w.memory->roots[kRoot.to_string()] = digest_of("blob").to_string();
    w.recover();
    const auto report = content::copy_blobs(w.call, *w.content, observer);
    CHECK((report.complete && report.copied.count == 2));
    CHECK(findings.empty());
  }
  SECTION("it can't: the others are copied, and it is told") {
    w.recover();
    const auto report = content::copy_blobs(w.call, *w.content, observer);
    CHECK_FALSE(report.complete);
    CHECK(report.copied.count == 1);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].kind == content::FindingKind::kRefused);
    CHECK(findings[0].digest == kRoot);
    CHECK(w.memory->ingest_count() == 0);
  }
  CHECK(w.read(kRoot) == "blob");
  CHECK(w.read(plain) == "plain");
}
