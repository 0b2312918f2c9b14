// One ingest: opening, resuming, filling, committing.
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::Writer;
using oci::Digest;

namespace {

Writer open(World& w, const std::string& ref, uint64_t total = 0, const std::string& expected = {}) {
  return w.content->open_writer(w.call, w.a, ref, total, expected);
}

// Writes `text` under `ref` and closes.
void leave(World& w, const std::string& ref, std::string_view text, uint64_t total = 0) {
  open(w, ref, total).write(w.call, bytes_of(text));
}

// More than stays in memory.
std::string long_text(char fill = 'x') { return std::string(content::OpenIngest::kInMemory + 1, fill); }

}  // namespace

TEST_CASE("a writer counts, hashes and commits") {
  World w;
  {
    Writer writer = open(w, "r", 6);
    CHECK(writer.digest() == digest_of(""));
    writer.write(w.call, bytes_of("foo"));
    CHECK(writer.digest() == digest_of("foo"));
    writer.write(w.call, bytes_of("bar"));
    CHECK(writer.status().offset == 6);
    CHECK(writer.status().total == 6);
    CHECK(writer.status().updated_ns > writer.status().started_ns);
    const content::Labels labels{{"k", "v"}};
    CHECK(writer.commit(w.call, 6, digest_of("foobar").to_string(), &labels) == digest_of("foobar"));
  }
  const content::Blob blob = w.content->info(w.call, w.a, digest_of("foobar"));
  CHECK(blob.size == 6);
  CHECK(blob.labels == content::Labels{{"k", "v"}});
  CHECK(w.read(blob.digest) == "foobar");
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.catalog->ingests({}).empty());
}

TEST_CASE("an ingest is resumed with its bytes hashed again, also after a restart") {
  World w;
  leave(w, "r", "foo", 6);
  const auto before = w.content->status(w.call, w.a, "r");
  if (GENERATE(false, true)) w.restart();
  w.memory->short_reads = GENERATE(size_t{0}, size_t{1});
  Writer writer = open(w, "r", GENERATE(uint64_t{0}, uint64_t{6}));
  CHECK(writer.status().offset == 3);
  CHECK(writer.status().total == 6);
  CHECK(writer.status().started_ns == before.started_ns);
  CHECK(writer.digest() == digest_of("foo"));
  writer.write(w.call, bytes_of("bar"));
  CHECK(writer.commit(w.call, 6, digest_of("foobar").to_string(), nullptr) == digest_of("foobar"));
}

TEST_CASE("another total starts the ingest anew") {
  World w;
  leave(w, "r", "first attempt", 50);
  Writer writer = open(w, "r", 3);
  CHECK(writer.status().offset == 0);
  writer.write(w.call, bytes_of("bar"));
  CHECK(writer.commit(w.call, 3, {}, nullptr) == digest_of("bar"));
  CHECK(w.read(digest_of("bar")) == "bar");
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("a ref has one writer; it is free when that one ends, however it ends") {
  World w;
  std::optional<Writer> first(open(w, "r"));
  CHECK(code_of([&] { open(w, "r"); }) == Code::kUnavailable);
  CHECK_NOTHROW(open(w, "other"));
  CHECK_NOTHROW(w.content->open_writer(w.call, w.b, "r", 0, {}));  // refs are each client's own

  SECTION("going out of scope") { first.reset(); }
  SECTION("commit") { first->commit(w.call, 0, {}, nullptr); }
  SECTION("a commit of the wrong size") {
    CHECK(code_of([&] { first->commit(w.call, 7, {}, nullptr); }) == Code::kFailedPrecondition);
  }
  SECTION("a commit with a malformed digest") {
    CHECK(code_of([&] { first->commit(w.call, 0, "foo", nullptr); }) == Code::kInvalidArgument);
  }
  SECTION("a write that fails") {
    w.memory->fail_append = Code::kResourceExhausted;
    CHECK(code_of([&] { first->write(w.call, bytes_of(long_text())); }) == Code::kResourceExhausted);
  }
  CHECK_NOTHROW(open(w, "r"));
}

TEST_CASE("a writer that could not be opened leaves its ref free and no trace") {
  World w;
  SECTION("a full store") {
    w.memory->full = true;
    CHECK(code_of([&] { open(w, "r"); }) == Code::kResourceExhausted);
    w.memory->full = false;
  }
  SECTION("a store that is open for reading only") {
    w.memory->read_only = true;
    CHECK(code_of([&] { open(w, "r"); }) == Code::kFailedPrecondition);
    w.memory->read_only = false;
  }
  CHECK(w.catalog->ingests({}).empty());
  CHECK(code_of([&] { w.content->status(w.call, w.a, "r"); }) == Code::kNotFound);
  CHECK_NOTHROW(open(w, "r"));

  SECTION("but keeps an ingest that was there") {
    leave(w, "old", "bytes");
    w.memory->fail_open_ingest = Code::kResourceExhausted;
    CHECK(code_of([&] { open(w, "old"); }) == Code::kResourceExhausted);
    CHECK(open(w, "old").status().offset == 5);
  }
}

TEST_CASE("a commit that is refused keeps the ingest, and it can be tried again") {
  World w;
  const std::string right = digest_of("foobar").to_string();
  leave(w, "r", "foobar");
  const auto refused = [&](uint64_t total, const std::string& expected) {
    return code_of([&] { open(w, "r").commit(w.call, total, expected, nullptr); });
  };
  CHECK(refused(6, digest_of("other").to_string()) == Code::kFailedPrecondition);
  CHECK(refused(5, right) == Code::kFailedPrecondition);
  CHECK(refused(6, "sha256:abc") == Code::kInvalidArgument);
  w.memory->fail_commit = Code::kInternal;
  CHECK(refused(6, right) == Code::kInternal);
  CHECK(w.listed(w.op).empty());
  CHECK(w.content->status(w.call, w.a, "r").offset == 6);
  Writer writer = open(w, "r");
  CHECK(writer.commit(w.call, 6, right, nullptr).to_string() == right);
}

TEST_CASE("a digest of another algorithm may be named only at the commit, or at once") {
  World w;
  const auto algorithm = GENERATE(oci::Algorithm::kSha384, oci::Algorithm::kSha512);
  const Digest digest = Digest::of("foobar", algorithm);
  const bool announced = GENERATE(false, true);
  Writer writer = open(w, "r", 0, announced ? digest.to_string() : std::string());
  writer.write(w.call, bytes_of("foobar"));
  CHECK(writer.digest() == (announced ? digest : digest_of("foobar")));
  CHECK(writer.commit(w.call, 6, digest.to_string(), nullptr) == digest);
  CHECK(w.read(digest) == "foobar");
  CHECK(w.listed(w.a) == names({digest}));
}

TEST_CASE("malformed digests and an empty ref are refused at once") {
  World w;
  for (const std::string expected : {"foo", "sha256:", "sha256:ABC", "md5:d41d8cd98f00b204e9800998ecf8427e"}) {
    CHECK(code_of([&] { open(w, "r", 0, expected); }) == Code::kInvalidArgument);
  }
  CHECK(code_of([&] { open(w, ""); }) == Code::kInvalidArgument);
  CHECK(w.catalog->ingests({}).empty());
}

TEST_CASE("truncate starts anew") {
  World w;
  Writer writer = open(w, "r");
  writer.write(w.call, bytes_of("wrong"));
  writer.truncate(w.call);
  CHECK(writer.status().offset == 0);
  CHECK(writer.digest() == digest_of(""));
  writer.write(w.call, bytes_of("right"));
  CHECK(writer.commit(w.call, 5, {}, nullptr) == digest_of("right"));
  CHECK(w.read(digest_of("right")) == "right");
}

TEST_CASE("after a failed append the next writer goes on where the bytes end") {
  World w;
  leave(w, "r", "foo");
  {
    Writer writer = open(w, "r");
    w.memory->fail_append = Code::kResourceExhausted;  // keeps half
    CHECK(code_of([&] { writer.write(w.call, bytes_of("barbaz")); }) == Code::kResourceExhausted);
    CHECK(code_of([&] { writer.write(w.call, bytes_of("more")); }) == Code::kFailedPrecondition);
    CHECK(code_of([&] { writer.commit(w.call, 0, {}, nullptr); }) == Code::kFailedPrecondition);
  }
  Writer writer = open(w, "r");
  CHECK(writer.status().offset == 6);
  CHECK(writer.digest() == digest_of("foobar"));
  writer.write(w.call, bytes_of("baz"));
  CHECK(writer.commit(w.call, 9, digest_of("foobarbaz").to_string(), nullptr) == digest_of("foobarbaz"));
}

TEST_CASE("an ingest whose end can't be read is cut to what can") {
  World w;
  leave(w, "r", "foobar");
  w.memory->unreadable_tail = 2;
  Writer writer = open(w, "r");
  CHECK(writer.status().offset == 4);
  writer.write(w.call, bytes_of("ar"));
  CHECK(writer.commit(w.call, 6, digest_of("foobar").to_string(), nullptr) == digest_of("foobar"));
}

TEST_CASE("bytes that are lost before a second hash are DataLoss, not a wrong blob") {
  World w;
  leave(w, "r", "foobar");
  Writer writer = open(w, "r");
  w.memory->unreadable_tail = 2;
  const std::string cut = Digest::of("foob", oci::Algorithm::kSha512).to_string();
  CHECK(code_of([&] { writer.commit(w.call, 0, cut, nullptr); }) == Code::kDataLoss);
}

TEST_CASE("refs are any bytes, of any reasonable length") {
  World w;
  std::vector<std::string> refs{std::string("nul\0inside", 10), "../../etc/passwd", "\xff\xfe", "line\nfeed", "'; --", "é",
                                std::string(10'000, 'k'), std::string(1, '\0')};
  for (const std::string& ref : refs) leave(w, ref, ref);
  for (const std::string& ref : refs) {
    CHECK(w.content->status(w.call, w.a, ref).ref == ref);
    CHECK(w.content->status(w.call, w.a, ref).offset == ref.size());
  }
  CHECK(w.content->list_statuses(w.call, w.a, content::Filter::parse({})).size() == refs.size());
  w.restart();
  for (const std::string& ref : refs) CHECK(open(w, ref).commit(w.call, 0, {}, nullptr) == digest_of(ref));
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("a thousand refs open at once") {
  World w;
  std::vector<Writer> writers;
  for (int i = 0; i < 1000; ++i) writers.push_back(open(w, "ref " + std::to_string(i)));
  for (int i = 0; i < 1000; ++i) writers[static_cast<size_t>(i)].write(w.call, bytes_of(std::to_string(i)));
  CHECK(w.content->list_statuses(w.call, w.a, content::Filter::parse({})).size() == 1000);
  for (int i = 0; i < 1000; ++i) writers[static_cast<size_t>(i)].commit(w.call, 0, {}, nullptr);
  CHECK(w.listed(w.a).size() == 1000);
}

TEST_CASE("an empty blob") {
  World w;
  CHECK(open(w, "r").commit(w.call, 0, digest_of("").to_string(), nullptr) == digest_of(""));
  CHECK(w.content->info(w.call, w.a, digest_of("")).size == 0);
  CHECK(w.read(digest_of("")).empty());
}

TEST_CASE("a new ingest is in memory alone while it is small, and is listed all the same") {
  World w;
  std::optional<Writer> writer(open(w, "r", 6));
  writer->write(w.call, bytes_of("foo"));
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.catalog->ingests({}).empty());
  CHECK(w.content->status(w.call, w.a, "r").offset == 3);
  CHECK(w.content->status(w.call, w.op, "r").client == "a");
  CHECK(code_of([&] { w.content->status(w.call, w.b, "r"); }) == Code::kNotFound);
  CHECK(w.content->list_statuses(w.call, w.a, content::Filter::parse({})).size() == 1);
  CHECK(w.content->list_statuses(w.call, w.b, content::Filter::parse({})).empty());

  SECTION("it is kept when its writer closes") {
    writer.reset();
    CHECK(w.memory->ingest_count() == 1);
    w.restart();
    CHECK(open(w, "r").digest() == digest_of("foo"));
  }
  SECTION("also without a byte") {
    writer->truncate(w.call);
    writer.reset();
    CHECK(w.content->status(w.call, w.a, "r").offset == 0);
  }
  SECTION("a refused commit keeps it") {
    CHECK(code_of([&] { writer->commit(w.call, 7, {}, nullptr); }) == Code::kFailedPrecondition);
    CHECK(open(w, "r").status().offset == 3);
  }
  SECTION("so does one that the backend refuses") {
    w.memory->fail_commit = Code::kInternal;
    CHECK(code_of([&] { writer->commit(w.call, 3, {}, nullptr); }) == Code::kInternal);
    CHECK(open(w, "r").status().offset == 3);
  }
  SECTION("it is stored when it grows") {
    writer->write(w.call, bytes_of(long_text()));
    CHECK(w.memory->ingest_count() == 1);
    CHECK(w.catalog->ingests({}).size() == 1);
    CHECK(writer->commit(w.call, 0, {}, nullptr) == digest_of("foo" + long_text()));
    CHECK(w.catalog->ingests({}).empty());
    CHECK(w.memory->ingest_count() == 0);
  }
  SECTION("an abort drops it") {
    w.content->abort(w.call, w.a, "r");
    CHECK(code_of([&] { writer->write(w.call, bytes_of("bar")); }) == Code::kAborted);
    writer.reset();
    CHECK(w.memory->ingest_count() == 0);
    CHECK(w.catalog->ingests({}).empty());
    CHECK(code_of([&] { w.content->status(w.call, w.a, "r"); }) == Code::kNotFound);
  }
  SECTION("one that can't be stored is gone, and its ref is free") {
    w.memory->fail_open_ingest = Code::kResourceExhausted;
    CHECK(code_of([&] { writer->write(w.call, bytes_of(long_text())); }) == Code::kResourceExhausted);
    CHECK(w.catalog->ingests({}).empty());
    CHECK(w.memory->ingest_count() == 0);
    CHECK(open(w, "r").status().offset == 0);
  }
}

TEST_CASE("a large message is hashed and stored at the same time; a failure of the store closes the writer") {
  World w;
  const std::string text(1 << 20, 'x');
  Writer writer = open(w, "r");
  for (int i = 0; i < 3; ++i) writer.write(w.call, bytes_of(text));
  CHECK(writer.digest() == digest_of(text + text + text));
  w.memory->fail_append = Code::kResourceExhausted;  // keeps half
  CHECK(code_of([&] { writer.write(w.call, bytes_of(text)); }) == Code::kResourceExhausted);
  CHECK(code_of([&] { writer.write(w.call, bytes_of(text)); }) == Code::kFailedPrecondition);
  Writer next = open(w, "r");
  CHECK(next.status().offset == 3 * text.size() + text.size() / 2);
}
