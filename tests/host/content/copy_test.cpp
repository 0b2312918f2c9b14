// Copying the previous store's blobs into the new one, also with interruptions, damage and company.
#include "content/copy.hpp"

#include <thread>

#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::CopyReport;
using content::Finding;
using content::FindingKind;
using content::Stores;
using oci::Digest;

namespace {

constexpr size_t kMiB = 1 << 20;

std::string big_text(size_t mebibytes) {
  std::string text(mebibytes * kMiB + 17, 0);
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

std::map<std::string, FindingKind> copy_finds(World& w, CopyReport* report = nullptr) {
  std::map<std::string, FindingKind> found;
  const auto result = content::copy_blobs(w.call, *w.content,
                                          {{}, [&](const Finding& f) { found.emplace(f.digest.to_string(), f.kind); }});
  if (report != nullptr) *report = result;
  return found;
}

// Copies until `bytes` of progress; returns the code of the end.
Code copy_up_to(World& w, uint64_t bytes) {
  const auto stop = [&](const content::Progress& p) {
    if (p.done_bytes >= bytes) throw Error(Code::kCancelled, "enough");
  };
  return code_of([&] { content::copy_blobs(w.call, *w.content, {stop, {}}); });
}

}  // namespace

TEST_CASE("everything that is lacking is copied, and then the previous store is not needed") {
  World w;
  w.recover();
  const content::Labels labels{{"k", "v"}};
  const Digest one = w.put(w.a, "one", &labels), two = w.put(w.op, "two"), empty = w.put(w.a, "");
  const Digest long512 = Digest::of("512", oci::Algorithm::kSha512);
  {
    content::Writer writer = w.content->open_writer(w.call, w.b, "ref", 0, long512.to_string());
    writer.write(w.call, bytes_of("512"));
    writer.commit(w.call, 0, long512.to_string(), nullptr);
  }
  const auto info = w.content->info(w.call, w.a, one);
  const auto pins = w.catalog->pins({}, 10);
  w.switch_store();
  w.recover();
  const Digest fresh = w.put(w.a, "fresh");
  CHECK(w.read(one) == "one");

  content::Progress end;
  const CopyReport report = content::copy_blobs(w.call, *w.content, {[&](const content::Progress& p) { end = p; }, {}});
  CHECK(report.complete);
  CHECK(report.copied.count == 4);
  CHECK(report.copied.bytes == 9);
  CHECK(end.done_blobs == 4);
  CHECK(end.total_blobs == 4);
  CHECK(end.done_bytes == 9);
  CHECK(end.total_bytes == 9);
  CHECK(w.stores->lacking().count == 0);
  CHECK(w.catalog->previous_store_id().empty());
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.memory->blobs.size() == 5);

  // Nobody's holds have changed.
  CHECK(w.catalog->claimants(one) == Names{"a"});
  CHECK(w.catalog->claimants(long512) == Names{"b"});
  CHECK_FALSE(w.catalog->pinned(one));
  REQUIRE(w.catalog->pins({}, 10).size() == 1);
  CHECK(w.catalog->pins({}, 10)[0].created_ns == pins[0].created_ns);
  const auto after = w.content->info(w.call, w.a, one);
  CHECK(after.labels == labels);
  CHECK(after.created_ns == info.created_ns);
  CHECK(after.updated_ns == info.updated_ns);

  w.use(w.memory, nullptr);
  CHECK(w.recover().missing == 0);
  for (const auto& [digest, text] : {std::pair(one, "one"), std::pair(two, "two"), std::pair(fresh, "fresh"),
                                     std::pair(empty, ""), std::pair(long512, "512")})
    CHECK(w.read(digest) == text);
}

TEST_CASE("a second copy has nothing to do") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.switch_store();
  w.recover();
  CHECK(content::copy_blobs(w.call, *w.content, {}).copied.count == 1);
  const CopyReport report = content::copy_blobs(w.call, *w.content, {});
  CHECK(report.copied.count == 0);
  CHECK(report.complete);
}

TEST_CASE("there is nothing to copy without a previous store") {
  World w;
  w.recover();
  CHECK(code_of([&] { content::copy_blobs(w.call, *w.content, {}); }) == Code::kFailedPrecondition);
}

TEST_CASE("reads go to the new store once a blob is copied") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one");
  w.switch_store();
  w.recover();
  CHECK(w.read(one) == "one");
  content::copy_blobs(w.call, *w.content, {});
  w.before->set_on_call(
      [](const char* function, const plugin::Call&) { FAIL("the previous store was asked: " << function); });
  CHECK(w.read(one) == "one");
  w.content->remove(w.call, w.a, one);
  CHECK_FALSE(w.memory->has(one.to_string()));
}

TEST_CASE("a copy that ends early goes on where it was, within the blob, in the same run and after a restart") {
  World w;
  w.recover();
  const std::string text = big_text(6);
  const Digest big = w.put(w.a, text);
  w.switch_store();
  w.recover();
  CHECK(copy_up_to(w, 3 * kMiB) == Code::kCancelled);
  CHECK(w.memory->ingest_count() == 1);
  CHECK(w.catalog->ingests({}).empty());
  CHECK(w.content->list_statuses(w.call, w.op, content::Filter::parse({})).empty());
  CHECK(w.content->list_statuses(w.call, w.a, content::Filter::parse({})).empty());
  CHECK(w.catalog->previous_store_id() == "memory-1");
  CHECK(w.stores->lacking().count == 1);
  const auto restart = GENERATE(false, true);
  if (restart) {
    w.use(w.memory, w.before);
    w.restart();
    CHECK(w.recover().dropped_ingests == 0);
  }
  size_t appended = 0;
  w.memory->set_on_call(
      [&](const char* function, const plugin::Call&) { appended += std::string_view(function) == "append"; });
  CopyReport report;
  CHECK(copy_finds(w, &report).empty());
  CHECK(appended == 4);  // of seven
  CHECK(report.progress.done_bytes == text.size());
  CHECK(report.complete);
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.read(big) == text);
}

TEST_CASE("what an earlier try left wrong is copied anew") {
  World w;
  w.recover();
  const std::string text = big_text(3);
  const Digest big = w.put(w.a, text);
  w.switch_store();
  w.recover();
  CHECK(copy_up_to(w, 2 * kMiB) == Code::kCancelled);
  Bytes& held = w.memory->ingests.begin()->second.bytes;
  SECTION("holes") {
    std::fill(held.begin() + 5, held.begin() + 50, 0);
  }
  SECTION("too much") {
    held.resize(text.size() + 1);
  }
  SECTION("an end that can't be read") {
    w.memory->unreadable_tail = 100;
  }
  CHECK(copy_finds(w).empty());
  CHECK(w.read(big) == text);
}

TEST_CASE("a damaged blob is a finding and is never committed") {
  World w;
  w.recover();
  const Digest flipped = w.put(w.a, "flipped"), cut = w.put(w.a, "cut blob"), good = w.put(w.a, "good"),
               lost = w.put(w.a, "lost");
  w.memory->put(flipped.to_string(), bytes_of("flippfd"));
  w.memory->put(cut.to_string(), bytes_of("cut"));
  w.switch_store();
  w.recover();
  w.before->drop(lost.to_string());
  CopyReport report;
  const auto found = copy_finds(w, &report);
  CHECK(found == std::map<std::string, FindingKind>{{flipped.to_string(), FindingKind::kDamaged},
                                                    {cut.to_string(), FindingKind::kDamaged},
                                                    {lost.to_string(), FindingKind::kMissing}});
  CHECK_FALSE(report.complete);
  CHECK(report.copied.count == 1);
  CHECK(report.progress.done_blobs == 4);
  CHECK(w.memory->blobs.size() == 1);
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.catalog->previous_store_id() == "memory-1");
  CHECK(w.read(good) == "good");
  CHECK(w.info_code(w.a, flipped) == Code::kNotFound);
  CHECK(w.before->blobs.contains(flipped.to_string()));

  // Writing the right bytes heals one, deleting settles another.
  w.put(w.a, "flipped");
  w.put(w.a, "cut blob");
  w.content->remove(w.call, w.a, lost);
  CHECK(copy_finds(w, &report).empty());
  CHECK(report.complete);
  CHECK(w.catalog->previous_store_id().empty());
}

TEST_CASE("a previous store that fails to give bytes is a finding, and the next run goes on") {
  World w;
  w.recover();
  const Digest one = w.put(w.a, "one"), two = w.put(w.a, "two");
  w.switch_store();
  w.recover();
  w.before->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) == "open_blob") throw Error(Code::kUnavailable, "the old store is away");
  });
  CopyReport report;
  CHECK(copy_finds(w, &report).size() == 2);
  CHECK_FALSE(report.complete);
  w.before->set_on_call({});
  CHECK(w.info_code(w.a, one) == Code::kOk);
  CHECK(copy_finds(w, &report).empty());
  CHECK(report.complete);
  CHECK(w.read(two) == "two");
}

TEST_CASE("a failing new store ends the copy with its error") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.put(w.a, "two");
  w.switch_store();
  w.recover();
  SECTION("it is full") {
    w.memory->fail_open_ingest = Code::kResourceExhausted;
  }
  SECTION("it becomes full") {
    w.memory->fail_append = Code::kResourceExhausted;
  }
  SECTION("it can't commit") {
    w.memory->fail_commit = Code::kResourceExhausted;
  }
  CHECK(code_of([&] { content::copy_blobs(w.call, *w.content, {}); }) == Code::kResourceExhausted);
  CHECK(w.stores->lacking().count == 2);
  CHECK(content::copy_blobs(w.call, *w.content, {}).complete);
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("nothing of a blob that is deleted or written during its copy stays behind") {
  World w;
  w.recover();
  const std::string text = big_text(4);
  const Digest big = w.put(w.a, text);
  w.switch_store();
  w.recover();
  const bool deleted = GENERATE(true, false);
  bool done = false;
  const auto interfere = [&](const content::Progress& p) {
    if (p.done_bytes < 2 * kMiB || std::exchange(done, true)) return;
    if (deleted) {
      w.content->remove(w.call, w.a, big);
    } else {
      w.put(w.b, text);
    }
  };
  const CopyReport report = content::copy_blobs(w.call, *w.content, {interfere, {}});
  CHECK(done);
  CHECK(report.complete);
  CHECK(report.copied.count == 0);
  CHECK(w.memory->ingest_count() == 0);
  CHECK(w.memory->has(big.to_string()) == !deleted);
  CHECK(w.info_code(w.a, big) == (deleted ? Code::kNotFound : Code::kOk));
}

TEST_CASE("nothing of a blob that is deleted or written after its copy was begun stays behind") {
  World w;
  w.recover();
  const std::string text = big_text(4);
  const Digest big = w.put(w.a, text);
  w.switch_store();
  w.recover();
  CHECK(copy_up_to(w, 2 * kMiB) == Code::kCancelled);
  if (GENERATE(false, true)) {
    w.use(w.memory, w.before);
    w.recover();
  }
  CHECK(w.memory->ingest_count() == 1);
  SECTION("deleted") {
    w.content->remove(w.call, w.a, big);
    CHECK(w.memory->blobs.empty());
  }
  SECTION("written") {
    w.put(w.a, text);
    CHECK(w.read(big) == text);
  }
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("the start drops a begun copy that has no use any more") {
  World w;
  w.recover();
  const std::string text = big_text(2);
  const Digest big = w.put(w.a, text);
  w.switch_store();
  w.recover();
  CHECK(copy_up_to(w, kMiB) == Code::kCancelled);
  w.memory->put(big.to_string(), bytes_of(text));
  w.use(w.memory, nullptr);
  CHECK(w.recover().dropped_ingests == 1);
  CHECK(w.memory->ingest_count() == 0);
}

TEST_CASE("the second of two copies at once is refused") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.switch_store();
  w.recover();
  w.memory->commit_gate.close();
  std::thread first([&] { content::copy_blobs(w.call, *w.content, {}); });
  CHECK(w.memory->commit_gate.wait_for(1));
  CHECK(code_of([&] { content::copy_blobs(w.call, *w.content, {}); }) == Code::kFailedPrecondition);
  w.memory->commit_gate.open();
  first.join();
  CHECK(content::copy_blobs(w.call, *w.content, {}).complete);
}

TEST_CASE("a copy ends when it is cancelled or late") {
  World w;
  w.recover();
  w.put(w.a, "one");
  w.switch_store();
  w.recover();
  Call cancelled;
  cancelled.cancel();
  CHECK(code_of([&] { content::copy_blobs(cancelled, *w.content, {}); }) == Code::kCancelled);
  const Call late(Call::Clock::now() - std::chrono::seconds(1));
  CHECK(code_of([&] { content::copy_blobs(late, *w.content, {}); }) == Code::kDeadlineExceeded);
}

TEST_CASE("readers, writers, deleters and a copy at once: what is held is there with the right bytes") {
  World w;
  w.recover();
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i)
    texts.push_back("blob " + std::to_string(i) + std::string(static_cast<size_t>(i) * 97, 'x'));
  for (const std::string& text : texts) w.put(w.a, text);
  w.switch_store();
  w.recover();
  std::atomic<bool> over{false};
  std::atomic<int> wrong{0};
  const auto work = [&](unsigned seed) {
    for (unsigned i = seed; !over; i += 7) {
      const std::string& text = texts[i % texts.size()];
      const Digest digest = digest_of(text);
      try {
        if (i % 3 == 0) w.content->remove(w.call, w.a, digest);
        if (i % 3 == 1) w.put(w.a, text);
        if (i % 3 == 2 && w.read(digest) != text) ++wrong;
      } catch (const Error& e) {
        const bool expected =
            e.code() == Code::kNotFound || e.code() == Code::kAlreadyExists || e.code() == Code::kUnavailable;
        if (!expected) ++wrong;
      }
    }
  };
  std::vector<std::thread> workers;
  for (unsigned seed = 0; seed < 3; ++seed) workers.emplace_back(work, seed);
  CopyReport report;
  const auto found = copy_finds(w, &report);
  over = true;
  for (std::thread& worker : workers) worker.join();
  CHECK(wrong == 0);
  CHECK(found.empty());
  CHECK(report.complete);
  for (const std::string& text : texts) {
    const Digest digest = digest_of(text);
    const bool held = w.catalog->find_any({}, digest).has_value();
    CHECK(w.memory->has(digest.to_string()) == held);
    if (held) CHECK(w.read(digest) == text);
  }
  CHECK(w.memory->ingest_count() == w.catalog->ingests({}).size());
}
