// The Write stream's protocol, message by message.
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::WriteAction;
using content::WriteMessage;
using content::WriteReply;
using content::WriteSession;

namespace {

struct Stream {
  Stream(World& world, const content::Client& client, std::string ref_name)
      : w(world), ref(std::move(ref_name)), session(*world.content, client) {}

  WriteReply stat(int64_t total = 0, const std::string& expected = {}) {
    return session.on_message(w.call, {WriteAction::kStat, ref, total, expected, 0, {}, nullptr});
  }
  WriteReply write(int64_t offset, const std::string& text, const std::string& expected = {}) {
    const Bytes bytes = bytes_of(text);
    return session.on_message(w.call, {WriteAction::kWrite, ref, 0, expected, offset, bytes, nullptr});
  }
  WriteReply commit(int64_t offset, int64_t total, const std::string& expected, const std::string& text = {},
                    const content::Labels* labels = nullptr) {
    const Bytes bytes = bytes_of(text);
    return session.on_message(w.call, {WriteAction::kCommit, ref, total, expected, offset, bytes, labels});
  }

  World& w;
  const std::string ref;
  WriteSession session;
};

}  // namespace

TEST_CASE("a pull: STAT, WRITE, COMMIT") {
  World w;
  Stream s(w, w.a, "layer");
  WriteReply reply = s.stat(6);
  CHECK(reply.action == WriteAction::kStat);
  CHECK(reply.offset == 0);
  CHECK(reply.total == 6);
  CHECK(reply.digest == digest_of("").to_string());
  CHECK(reply.started_ns > 0);
  CHECK(reply.updated_ns >= reply.started_ns);
  reply = s.write(0, "foo");
  CHECK(reply.action == WriteAction::kWrite);
  CHECK(reply.offset == 3);
  CHECK(reply.digest == digest_of("foo").to_string());
  CHECK(s.write(3, "bar").digest == digest_of("foobar").to_string());
  CHECK(s.stat().total == 6);
  reply = s.commit(6, 6, digest_of("foobar").to_string());
  CHECK(reply.action == WriteAction::kCommit);
  CHECK(reply.done);
  CHECK(reply.offset == 6);
  CHECK(reply.digest == digest_of("foobar").to_string());
}

TEST_CASE("a blob that nobody holds is expected without asking the backend, and is found at COMMIT if it is there") {
  World w;
  w.put(w.b, "held");
  const auto waits_for_nothing = [&](Stream& s, const std::string& expected) {
    return s.session.stays_in_memory(WriteAction::kStat, s.ref, expected, 0);
  };
  Stream held(w, w.a, "held"), malformed(w, w.a, "malformed");
  const std::string there = digest_of("held").to_string();
  CHECK_FALSE(waits_for_nothing(held, there));
  CHECK(code_of([&] { held.stat(4, there); }) == Code::kAlreadyExists);
  CHECK_FALSE(waits_for_nothing(malformed, "foo"));
  CHECK(code_of([&] { malformed.stat(0, "foo"); }) == Code::kInvalidArgument);

  const std::string left = digest_of("left").to_string();
  w.memory->put(left, bytes_of("left"));  // without a row
  Stream unknown(w, w.a, "unknown"), asked(w, w.a, "asked");
  CHECK(waits_for_nothing(unknown, left));
  CHECK(unknown.stat(4, left).offset == 0);
  unknown.write(0, "left");
  CHECK(code_of([&] { unknown.commit(4, 4, left); }) == Code::kAlreadyExists);
  CHECK(w.catalog->find(w.a.name, digest_of("left")));
  CHECK_FALSE(waits_for_nothing(asked, left));
  CHECK(code_of([&] { asked.stat(4, left); }) == Code::kAlreadyExists);
}

TEST_CASE("one message does it all, labels included") {
  World w;
  const content::Labels labels{{"k", "v"}};
  CHECK(Stream(w, w.a, "r").commit(0, 3, digest_of("foo").to_string(), "foo", &labels).done);
  CHECK(w.content->info(w.call, w.a, digest_of("foo")).labels == labels);
}

TEST_CASE("the first message needs a ref, the later ones do not") {
  World w;
  CHECK(code_of([&] { Stream(w, w.a, "").stat(); }) == Code::kInvalidArgument);
  CHECK(code_of([&] { Stream(w, w.a, "").commit(0, 0, {}); }) == Code::kInvalidArgument);
  WriteSession session(*w.content, w.a);
  session.on_message(w.call, {WriteAction::kStat, "r", 0, {}, 0, {}, nullptr});
  CHECK(session.on_message(w.call, {WriteAction::kStat, {}, 0, {}, 0, {}, nullptr}).offset == 0);
}

TEST_CASE("a resumed stream tells the offset; its total is what it says itself") {
  World w;
  {
    Stream s(w, w.a, "r");
    s.stat(6);
    s.write(0, "foo");
  }
  Stream s(w, w.a, "r");
  const WriteReply reply = s.stat();
  CHECK(reply.offset == 3);
  CHECK(reply.total == 0);
  CHECK(reply.digest == digest_of("foo").to_string());
  CHECK(s.write(3, "bar").offset == 6);
  CHECK(s.commit(6, 6, digest_of("foobar").to_string()).done);
}

TEST_CASE("data goes to the current offset or, at 0, starts anew") {
  World w;
  Stream s(w, w.a, "r");
  s.stat();
  s.write(0, "hello");
  for (const int64_t offset : {4, 6, -1}) {
    CHECK(code_of([&] { s.write(offset, "x"); }) == Code::kOutOfRange);
    CHECK(code_of([&] { s.commit(offset, 0, {}); }) == Code::kOutOfRange);
  }
  CHECK(s.write(0, "").offset == 0);
  CHECK(s.write(0, "foo").offset == 3);
  CHECK(s.write(0, "ba").digest == digest_of("ba").to_string());
  CHECK(s.commit(2, 3, digest_of("bar").to_string(), "r").done);
  CHECK(w.read(digest_of("bar")) == "bar");
}

TEST_CASE("a total of any message is checked at COMMIT and the ingest kept") {
  World w;
  {
    Stream s(w, w.a, "r");
    s.stat(7);
    s.write(0, "foobar");
    CHECK(code_of([&] { s.commit(6, 0, digest_of("foobar").to_string()); }) == Code::kFailedPrecondition);
  }
  CHECK(w.content->status(w.call, w.a, "r").offset == 6);
  Stream s(w, w.a, "r");
  s.stat(7);
  CHECK(s.commit(6, 6, digest_of("foobar").to_string()).done);  // the last one counts
}

TEST_CASE("the digest of any message is checked at COMMIT and the ingest kept") {
  World w;
  {
    Stream s(w, w.a, "r");
    s.stat(0, digest_of("other").to_string());
    s.write(0, "foobar");
    CHECK(code_of([&] { s.commit(6, 0, {}); }) == Code::kFailedPrecondition);
  }
  Stream s(w, w.a, "r");
  s.stat();
  CHECK(s.commit(6, 6, digest_of("foobar").to_string()).done);
}

TEST_CASE("a malformed digest is InvalidArgument in any message, and the ingest stays") {
  World w;
  CHECK(code_of([&] { Stream(w, w.a, "new").stat(0, "foo"); }) == Code::kInvalidArgument);
  CHECK(w.catalog->ingests({}).empty());
  {
    Stream s(w, w.a, "r");
    s.write(0, "foobar");
    CHECK(code_of([&] { s.write(6, "x", "foo"); }) == Code::kInvalidArgument);
    CHECK(code_of([&] { s.commit(6, 6, "foo"); }) == Code::kInvalidArgument);
  }
  CHECK(w.content->status(w.call, w.a, "r").offset == 6);
}

TEST_CASE("AlreadyExists on the first message, with a claim") {
  World w;
  const auto digest = w.put(w.b, "foobar");
  CHECK(code_of([&] { Stream(w, w.a, "r").stat(6, digest.to_string()); }) == Code::kAlreadyExists);
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
  CHECK(w.catalog->ingests({}).empty());
}

TEST_CASE("AlreadyExists on a later message, with a claim; the ingest is gone and the ref free") {
  World w;
  const auto digest = w.put(w.b, "foobar");
  Stream s(w, w.a, "r");
  s.stat(6);
  s.write(0, "foo");
  SECTION("STAT") { CHECK(code_of([&] { s.stat(0, digest.to_string()); }) == Code::kAlreadyExists); }
  SECTION("WRITE") { CHECK(code_of([&] { s.write(3, "bar", digest.to_string()); }) == Code::kAlreadyExists); }
  SECTION("COMMIT of too few bytes") {
    CHECK(code_of([&] { s.commit(3, 6, digest.to_string()); }) == Code::kAlreadyExists);
  }
  SECTION("COMMIT of all bytes") {
    s.write(3, "bar");
    CHECK(code_of([&] { s.commit(6, 6, digest.to_string()); }) == Code::kAlreadyExists);
  }
  SECTION("COMMIT without a digest") {
    s.write(3, "bar");
    CHECK(code_of([&] { s.commit(6, 6, {}); }) == Code::kAlreadyExists);
  }
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
  CHECK(w.catalog->ingests({}).empty());
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.content->open_writer(w.call, w.a, "r", 0, {}).status().offset == 0);
}

TEST_CASE("a blob that another stream committed in the meantime is noticed") {
  World w;
  const std::string digest = digest_of("foobar").to_string();
  Stream s(w, w.a, "r");
  s.stat(6, digest);
  w.put(w.b, "foobar");
  CHECK(code_of([&] { s.write(0, "foo", digest); }) == Code::kAlreadyExists);
}

TEST_CASE("a second stream on a ref is Unavailable") {
  World w;
  Stream first(w, w.a, "r");
  first.stat();
  CHECK(code_of([&] { Stream(w, w.a, "r").stat(); }) == Code::kUnavailable);
  CHECK_NOTHROW(Stream(w, w.b, "r").stat());
  CHECK_NOTHROW(first.write(0, "x"));
}
