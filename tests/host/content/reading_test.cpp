// Opening blobs; missing, cut and healed ones; the cache of open blobs.
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

TEST_CASE("bytes that are missing are NotFound though the catalog knows the blob") {
  World w;
  const Digest digest = w.put(w.a, "x");
  w.memory->drop(digest.to_string());
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
  CHECK(w.info_code(w.op, digest) == Code::kNotFound);
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
  CHECK(code_of([&] { w.content->update(w.call, w.a, digest, {}, {}); }) == Code::kNotFound);
  CHECK(code_of([&] { w.content->pin(w.call, digest, {}); }) == Code::kNotFound);
  CHECK(w.put(w.b, "x") == digest);
  CHECK(w.info_code(w.a, digest) == Code::kOk);
}

TEST_CASE("a cut blob is DataLoss for everybody until the right bytes are written") {
  World w;
  const Digest digest = w.put(w.a, "whole blob");
  w.memory->put(digest.to_string(), bytes_of("whole"));
  for (const content::Client* client : {&w.a, &w.b, &w.op}) CHECK(w.info_code(*client, digest) == Code::kDataLoss);
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kDataLoss);
  CHECK(code_of([&] { w.content->pin(w.call, digest, {}); }) == Code::kDataLoss);
  CHECK(w.catalog->claimants(digest) == Names{"a"});
  CHECK_FALSE(w.content->claim_if_stored(w.call, w.b, digest));  // so a write is not answered with AlreadyExists

  const content::Client* healer = &w.b;
  SECTION("by another client") {}
  SECTION("by the client itself") { healer = &w.a; }
  SECTION("by the operator") { healer = &w.op; }
  content::Writer writer = w.content->open_writer(w.call, *healer, "heal", 10, digest.to_string());
  writer.write(w.call, bytes_of("whole blob"));
  CHECK(writer.commit(w.call, 10, digest.to_string(), nullptr) == digest);
  CHECK(w.memory->quarantined.contains(digest.to_string()));
  CHECK(w.read(digest) == "whole blob");
  CHECK(w.info_code(w.a, digest) == Code::kOk);
}

TEST_CASE("wrong bytes do not push a cut blob out") {
  World w;
  const Digest digest = w.put(w.a, "whole blob");
  w.memory->put(digest.to_string(), bytes_of("whole"));
  content::Writer writer = w.content->open_writer(w.call, w.b, "bad", 0, {});
  writer.write(w.call, bytes_of("other"));
  CHECK(code_of([&] { writer.commit(w.call, 0, digest.to_string(), nullptr); }) == Code::kFailedPrecondition);
  CHECK(w.memory->quarantined.empty());
  CHECK(w.memory->has(digest.to_string()));
}

TEST_CASE("a blob that was adopted cut is healed by whoever writes the right bytes") {
  World w;
  const Digest digest = digest_of("whole blob");
  w.memory->put(digest.to_string(), bytes_of("whole"));
  content::RecoveryOptions options;
  options.adopt_for_containerd = GENERATE(true, false);
  w.recover(options);
  const content::Client& healer = GENERATE(false, true) ? w.op : w.a;
  CHECK(w.put(healer, "whole blob") == digest);
  CHECK(w.content->info(w.call, w.op, digest).size == 10);
  CHECK(w.read(digest) == "whole blob");
}

TEST_CASE("the right bytes under a wrong size on record are claimed and the record is put right") {
  World w;
  const Digest digest = w.put(w.b, "whole blob");
  w.catalog->claim("b", digest, 5, 1, nullptr);
  REQUIRE(w.info_code(w.b, digest) == Code::kDataLoss);
  const content::Client& writer = GENERATE(false, true) ? w.op : w.a;
  CHECK(code_of([&] { w.put(writer, "whole blob"); }) == Code::kAlreadyExists);
  CHECK(w.content->info(w.call, w.b, digest).size == 10);
  CHECK((writer.is_operator ? w.catalog->pinned(digest) : w.catalog->claimants(digest) == Names{"a", "b"}));
}

TEST_CASE("quarantine takes a blob out of service and keeps claims and pins") {
  World w;
  const Digest digest = w.put(w.a, "x");
  w.content->pin(w.call, digest, "mine");
  CHECK(w.read(digest) == "x");  // now it is in the cache
  w.content->quarantine(w.call, digest, content::Stores::Place::kCurrent);
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
  CHECK(w.put(w.b, "x") == digest);
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
  CHECK(w.catalog->pinned(digest));
}

TEST_CASE("an open blob goes on after its deletion, but the cache does not serve it") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  const auto open = w.content->open(w.call, digest);
  w.content->remove(w.call, w.a, digest);
  CHECK(w.text_of(*open) == "bytes");
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
}

TEST_CASE("a deletion while a blob is being opened does not leave it in the cache") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  Gate opening;
  opening.close();
  w.memory->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) == "open_blob: found") opening.pass();
  });
  std::string read;
  std::thread reader([&] {
    Call call;
    read = w.text_of(*w.content->open(call, digest));
  });
  REQUIRE(opening.wait_for(1));
  w.content->remove(w.call, w.a, digest);
  opening.open();
  reader.join();
  CHECK(read == "bytes");  // it had found them
  w.memory->set_on_call(nullptr);
  CHECK_FALSE(w.memory->has(digest.to_string()));
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
}

namespace {

// A read of one blob on a thread of its own, that may be cancelled.
struct Reading {
  Reading(World& w, const Digest& digest, Call::Clock::time_point deadline = Call::Clock::time_point::max()) {
    if (deadline != Call::Clock::time_point::max()) call.set_deadline(deadline);
    thread = std::thread([this, &w, digest] {
      code = code_of([&] { text = w.text_of(*w.content->open(call, digest)); });
    });
  }
  ~Reading() {
    if (thread.joinable()) thread.join();
  }
  Code end() {
    thread.join();
    return code;
  }
  Call call;
  Code code = Code::kUnknown;
  std::string text;
  std::thread thread;
};

// open_blob of a world waits here.
struct HungOpen {
  explicit HungOpen(World& world) : w(world) {
    gate.close();
    w.memory->set_on_call([this](const char* function, const plugin::Call& call) {
      if (std::string_view(function) != "open_blob") return;
      ++opens;
      if (const auto code = fail.load(); code != Code::kOk) {
        gate.pass();
        throw Error(code, "open_blob: told to fail");
      }
      if (until_cancelled) {
        while (!call.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        call.check();
      }
      gate.pass();
    });
  }
  ~HungOpen() {
    gate.open();
    w.memory->set_on_call(nullptr);
  }
  World& w;
  Gate gate;
  std::atomic<int> opens{0};
  std::atomic<Code> fail{Code::kOk};
  std::atomic<bool> until_cancelled{false};
};

constexpr auto kMoment = std::chrono::milliseconds(50);

}  // namespace

TEST_CASE("an open that hangs holds up nothing but reads of its blob") {
  World w;
  const Digest digest = w.put(w.a, "bytes"), other = w.put(w.a, "other");
  CHECK(w.read(other) == "other");
  HungOpen hung(w);
  Reading reading(w, digest);
  REQUIRE(hung.gate.wait_for(1));
  CHECK(w.info_code(w.a, digest) == Code::kOk);
  CHECK(w.info_code(w.b, digest) == Code::kOk);  // makes a claim, under the digest's lock
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
  CHECK(code_of([&] { w.put(w.b, "bytes"); }) == Code::kAlreadyExists);
  w.content->pin(w.call, digest, "mine");
  w.content->unpin(w.call, digest);
  CHECK(w.read(other) == "other");  // out of the cache
  w.content->remove(w.call, w.a, digest);
  w.content->remove(w.call, w.b, digest);
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
  CHECK_FALSE(w.memory->has(digest.to_string()));
  hung.gate.open();
  CHECK(reading.end() == Code::kNotFound);
}

TEST_CASE("a blob that is opened while it is being removed is not kept") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  Gate removal;
  removal.close();
  w.memory->set_on_call([&](const char* function, const plugin::Call&) {
    if (std::string_view(function) == "remove_blob") removal.pass();
  });
  std::thread remover([&] {
    Call call;
    w.content->remove(call, w.a, digest);
  });
  REQUIRE(removal.wait_for(1));
  CHECK(w.read(digest) == "bytes");
  removal.open();
  remover.join();
  w.memory->set_on_call(nullptr);
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
}

TEST_CASE("a blob is opened once for all who ask meanwhile") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  HungOpen hung(w);
  Reading first(w, digest);
  REQUIRE(hung.gate.wait_for(1));
  Reading second(w, digest), third(w, digest);
  std::this_thread::sleep_for(kMoment);

  SECTION("and all get it") {
    hung.gate.open();
    CHECK((first.end() == Code::kOk && second.end() == Code::kOk && third.end() == Code::kOk));
    CHECK(second.text == "bytes");
  }
  SECTION("who is cancelled or late waits no longer") {
    Reading late(w, digest, Call::Clock::now() + kMoment);
    CHECK(late.end() == Code::kDeadlineExceeded);
    second.call.cancel();
    CHECK(second.end() == Code::kCancelled);
    hung.gate.open();
    CHECK((first.end() == Code::kOk && third.end() == Code::kOk));
  }
  CHECK(hung.opens == 1);
}

TEST_CASE("the failure of an open is that of all who wait for it") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  HungOpen hung(w);
  hung.fail = Code::kUnavailable;
  Reading first(w, digest);
  REQUIRE(hung.gate.wait_for(1));
  Reading second(w, digest);
  std::this_thread::sleep_for(kMoment);
  hung.gate.open();
  CHECK(first.end() == Code::kUnavailable);
  CHECK(second.end() == Code::kUnavailable);
  CHECK(hung.opens == 1);
  hung.fail = Code::kOk;
  CHECK(w.read(digest) == "bytes");
}

TEST_CASE("who waits goes on when the one who opens has gone") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  HungOpen hung(w);
  hung.until_cancelled = true;
  hung.gate.open();
  Reading first(w, digest);
  while (hung.opens == 0) std::this_thread::yield();
  Reading second(w, digest);
  std::this_thread::sleep_for(kMoment);
  hung.until_cancelled = false;
  first.call.cancel();
  CHECK(first.end() == Code::kCancelled);
  CHECK(second.end() == Code::kOk);
  CHECK(second.text == "bytes");
  CHECK(hung.opens == 2);
}

TEST_CASE("a blob that is quarantined while it is being opened is not kept") {
  World w;
  const Digest digest = w.put(w.a, "bytes");
  HungOpen hung(w);
  Reading reading(w, digest);
  REQUIRE(hung.gate.wait_for(1));
  w.content->quarantine(w.call, digest, content::Stores::Place::kCurrent);
  w.put(w.b, "bytes");  // healed: this reading may find the new ones
  hung.gate.open();
  CHECK(reading.end() == Code::kOk);
  const int before = hung.opens;
  CHECK(w.read(digest) == "bytes");
  CHECK(hung.opens == before + 1);  // what was being opened then is not what is read now
}

TEST_CASE("the cache keeps the most recently used blobs") {
  World w;  // its cache holds two
  std::atomic<int> opens{0};
  const Digest one = w.put(w.a, "1"), two = w.put(w.a, "2"), three = w.put(w.a, "3");
  w.memory->set_on_call([&](const char* function, const plugin::Call&) {
    opens += std::string_view(function) == "open_blob";
  });
  const auto opened_by = [&](const Digest& digest) {
    const int before = opens;
    w.content->open(w.call, digest);
    return opens - before;
  };
  CHECK(opened_by(one) == 1);
  CHECK(opened_by(two) == 1);
  CHECK(opened_by(one) == 0);
  CHECK(opened_by(three) == 1);  // pushes out two
  CHECK(opened_by(one) == 0);
  CHECK(opened_by(two) == 1);
}
