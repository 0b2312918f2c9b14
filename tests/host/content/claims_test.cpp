// Who holds which blob: claims of clients, pins of the operator, and when the bytes go.
#include <csignal>
#include <sys/resource.h>

#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using oci::Digest;

TEST_CASE("a commit, an Info and AlreadyExists each make a claim before the answer") {
  World w;
  const Digest digest = w.put(w.a, "blob");
  CHECK(w.catalog->claimants(digest) == Names{"a"});
  CHECK(w.listed(w.b).empty());

  SECTION("Info") {
    CHECK(w.info_code(w.b, digest) == Code::kOk);
  }
  SECTION("the first message of a write") {
    CHECK(code_of([&] { w.content->open_writer(w.call, w.b, "r", 0, digest.to_string()); }) == Code::kAlreadyExists);
  }
  SECTION("the commit of the same bytes") {
    CHECK(code_of([&] { w.put(w.b, "blob"); }) == Code::kAlreadyExists);
  }
  SECTION("claim_if_stored") {
    CHECK(w.content->claim_if_stored(w.call, w.b, digest));
  }
  CHECK(w.catalog->claimants(digest) == Names{"a", "b"});
  CHECK(w.listed(w.b) == names({digest}));
}

TEST_CASE("an unknown digest makes no claim") {
  World w;
  const Digest digest = digest_of("nowhere");
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
  CHECK_FALSE(w.content->claim_if_stored(w.call, w.a, digest));
  CHECK(code_of([&] { w.content->open(w.call, digest); }) == Code::kNotFound);
  CHECK(code_of([&] { w.content->remove(w.call, w.a, digest); }) == Code::kOk);
  CHECK(w.listed(w.op).empty());
}

TEST_CASE("bytes go with the last claim and pin") {
  World w;
  const Digest digest = w.put(w.a, "blob");
  w.content->info(w.call, w.b, digest);
  w.content->pin(w.call, digest, "note");
  w.content->remove(w.call, w.a, digest);
  CHECK(w.memory->has(digest.to_string()));
  CHECK(w.listed(w.a).empty());
  CHECK(w.listed(w.b) == names({digest}));

  SECTION("pin last") {
    w.content->remove(w.call, w.b, digest);
    CHECK(w.memory->has(digest.to_string()));
    w.content->unpin(w.call, digest);
  }
  SECTION("claim last") {
    w.content->unpin(w.call, digest);
    CHECK(w.memory->has(digest.to_string()));
    w.content->remove(w.call, w.b, digest);
  }
  SECTION("the operator's Delete drops the pin") {
    w.content->remove(w.call, w.b, digest);
    w.content->remove(w.call, w.op, digest);
  }
  CHECK_FALSE(w.memory->has(digest.to_string()));
  CHECK(w.info_code(w.a, digest) == Code::kNotFound);
  CHECK(w.listed(w.op).empty());
}

TEST_CASE("a client's Delete of what it does not claim frees nothing") {
  World w;
  const Digest digest = w.put(w.a, "blob");
  w.content->remove(w.call, w.b, digest);
  CHECK(w.memory->has(digest.to_string()));
  CHECK(w.listed(w.a) == names({digest}));
}

TEST_CASE("Delete does not fail when the backend can't remove, and the operator can try again") {
  World w;
  const Digest digest = w.put(w.a, "blob");
  w.memory->fail_remove = true;
  CHECK(code_of([&] { w.content->remove(w.call, w.a, digest); }) == Code::kOk);
  CHECK(w.listed(w.op).empty());
  CHECK(w.memory->has(digest.to_string()));
  w.memory->fail_remove = false;
  w.content->remove(w.call, w.op, digest);
  CHECK_FALSE(w.memory->has(digest.to_string()));
}

TEST_CASE("Delete makes room and does not fail when the catalog can't be written") {
  World w;
  const Digest alone = w.put(w.a, "alone"), shared = w.put(w.a, "shared"), pinned = w.put(w.a, "pinned");
  w.content->info(w.call, w.b, shared);
  w.content->pin(w.call, pinned, {});
  std::vector<Code> codes;
  {
    // No file can grow now; the log of the catalog has to.
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &none) == 0);
    for (const Digest& digest : {alone, shared, pinned}) {
      codes.push_back(code_of([&] { w.content->remove(w.call, w.a, digest); }));
    }
    codes.push_back(code_of([&] { w.catalog->unclaim("a", shared); }));  // shows that the catalog does fail
    ::setrlimit(RLIMIT_FSIZE, &before);
  }
  REQUIRE(codes.back() != Code::kOk);
  codes.pop_back();
  CHECK(codes == std::vector{Code::kOk, Code::kOk, Code::kOk});
  CHECK_FALSE(w.memory->has(alone.to_string()));
  CHECK(w.memory->has(shared.to_string()));
  CHECK(w.memory->has(pinned.to_string()));
  CHECK(w.info_code(w.a, alone) == Code::kNotFound);
  w.restart();
  CHECK(w.listed(w.a) == names({alone, shared, pinned}));  // the next collection deletes them again
  w.content->remove(w.call, w.a, alone);
  CHECK(w.listed(w.a) == names({shared, pinned}));
}

TEST_CASE("what the operator writes is pinned before it is visible") {
  World w;
  bool pending_before_visible = false;
  w.memory->before_visible = [&](const std::string& digest) {
    const auto pending = w.catalog->pending_pins();
    pending_before_visible = pending.size() == 1 && pending.front().to_string() == digest && !w.memory->has(digest);
  };
  const Digest digest = w.put(w.op, "operator's");
  CHECK(pending_before_visible);
  CHECK(w.catalog->pending_pins().empty());
  CHECK(w.catalog->pinned(digest));
  CHECK(w.listed(w.op) == names({digest}));
  CHECK(w.listed(w.a).empty());
}

TEST_CASE("a commit that fails leaves the operator no pin") {
  World w;
  w.memory->fail_commit = Code::kInternal;
  CHECK(code_of([&] { w.put(w.op, "x"); }) == Code::kInternal);
  CHECK(w.catalog->pending_pins().empty());
  CHECK_FALSE(w.catalog->pinned(digest_of("x")));
  CHECK(w.catalog->totals().blobs == 0);
}

TEST_CASE("the operator pins what a client wrote by writing it again") {
  World w;
  const Digest digest = w.put(w.a, "both");
  CHECK(code_of([&] { w.put(w.op, "both"); }) == Code::kAlreadyExists);
  CHECK(w.catalog->pinned(digest));
  w.content->remove(w.call, w.a, digest);
  CHECK(w.memory->has(digest.to_string()));
}

TEST_CASE("the operator sees every blob and makes no claim") {
  World w;
  const Digest one = w.put(w.a, "one"), two = w.put(w.b, "two"), three = w.put(w.op, "three");
  CHECK(w.listed(w.op) == names({one, two, three}));
  CHECK(w.info_code(w.op, one) == Code::kOk);
  CHECK(w.catalog->claimants(one) == Names{"a"});
  CHECK_FALSE(w.catalog->pinned(one));
}

TEST_CASE("pin and unpin say what is not there") {
  World w;
  const Digest digest = w.put(w.a, "x");
  CHECK(code_of([&] { w.content->pin(w.call, digest_of("no"), {}); }) == Code::kNotFound);
  CHECK(code_of([&] { w.content->unpin(w.call, digest); }) == Code::kNotFound);
  w.content->pin(w.call, digest, "n1");
  REQUIRE(w.catalog->pins({}, 10).size() == 1);
  CHECK(w.catalog->pins({}, 10)[0].note == "n1");
}

TEST_CASE("an operator's blob that a containerd pulls stays when the pin goes") {
  World w;
  const Digest digest = w.put(w.op, "image");
  CHECK(w.info_code(w.a, digest) == Code::kOk);
  w.content->unpin(w.call, digest);
  CHECK(w.read(digest) == "image");
  w.content->remove(w.call, w.a, digest);
  CHECK_FALSE(w.memory->has(digest.to_string()));
}
