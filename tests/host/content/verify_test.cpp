// Reading blobs again, and adding up who holds what.
#include "content/verify.hpp"

#include "content/usage.hpp"
#include "host/content/world.hpp"

namespace ipcs::test {
namespace {

using content::Finding;
using content::FindingKind;
using content::Progress;
using oci::Digest;

// Kinds by digest, and the progress at the end.
struct Outcome {
  std::map<std::string, FindingKind> found;
  std::vector<std::string> details;
  Progress end;
};

Outcome verify(World& world, std::vector<Digest> digests = {}) {
  Outcome outcome;
  outcome.end = content::verify(world.call, *world.content, digests, {{}, [&](const Finding& finding) {
                                                                        outcome.found.emplace(
                                                                            finding.digest.to_string(), finding.kind);
                                                                        outcome.details.push_back(finding.detail);
                                                                      }});
  return outcome;
}

TEST_CASE("sound blobs of all algorithms are left alone") {
  World world;
  for (const auto algorithm : {oci::Algorithm::kSha256, oci::Algorithm::kSha384, oci::Algorithm::kSha512}) {
    const auto digest = oci::Digest::of("text", algorithm);
    content::Writer writer = world.content->open_writer(world.call, world.a, "ref", 0, digest.to_string());
    writer.write(world.call, bytes_of("text"));
    writer.commit(world.call, 0, digest.to_string(), nullptr);
  }
  world.put(world.op, "");
  const Outcome outcome = verify(world);
  CHECK(outcome.found.empty());
  CHECK(outcome.end.done_blobs == 4);
  CHECK(outcome.end.total_blobs == 4);
  CHECK(outcome.end.done_bytes == 12);
  CHECK(outcome.end.total_bytes == 12);
}

TEST_CASE("a flipped byte: quarantined, then not found, and writing the right bytes heals") {
  World world;
  const auto digest = world.put(world.a, "right"), other = world.put(world.a, "other");
  CHECK(world.read(digest) == "right");  // open in the cache
  world.memory->put(digest.to_string(), bytes_of("righT"));
  CHECK(verify(world).found == std::map<std::string, FindingKind>{{digest.to_string(), FindingKind::kDamaged}});
  CHECK(world.memory->quarantined == std::set<std::string>{digest.to_string()});
  CHECK(world.info_code(world.a, digest) == Code::kNotFound);
  CHECK(code_of([&] { world.read(digest); }) == Code::kNotFound);
  CHECK(world.read(other) == "other");
  CHECK(verify(world).found == std::map<std::string, FindingKind>{{digest.to_string(), FindingKind::kMissing}});

  world.put(world.op, "right");
  CHECK(world.read(digest) == "right");
  CHECK(world.catalog->claimants(digest) == std::vector<std::string>{"a"});
  CHECK(verify(world).found.empty());
}

TEST_CASE("bytes too few or too many, on disk or on reading") {
  World world;
  const auto digest = world.put(world.a, std::string(3 << 20, 'x'));
  SECTION("fewer") {
    world.memory->put(digest.to_string(), Bytes(5, 'x'));
  }
  SECTION("more") {
    world.memory->put(digest.to_string(), Bytes((3 << 20) + 1, 'x'));
  }
  SECTION("the end can't be read") {
    world.memory->readable = (2 << 20) + 5;
  }
  const Outcome outcome = verify(world, {digest});
  CHECK(outcome.found == std::map<std::string, FindingKind>{{digest.to_string(), FindingKind::kDamaged}});
  CHECK(world.memory->quarantined.contains(digest.to_string()));
  CHECK(outcome.end.done_bytes == 3 << 20);
}

TEST_CASE("what the backend can't read now is told and left as it is") {
  World world;
  const auto bad = world.put(world.a, "bad"), good = world.put(world.a, "good");
  std::atomic<int> code{static_cast<int>(Code::kPermissionDenied)};
  world.memory->set_on_call([&](const char* function, const plugin::Call&) {
    static thread_local int opened = 0;
    if (std::string_view(function) == "open_blob" && opened++ == 0)
      throw Error(static_cast<Code>(code.load()), "open: fault");
  });
  const Outcome outcome = verify(world, {bad, good});
  CHECK(outcome.found == std::map<std::string, FindingKind>{{bad.to_string(), FindingKind::kUnreadable}});
  CHECK(outcome.details == std::vector<std::string>{"open: fault"});
  CHECK(world.memory->quarantined.empty());
}

TEST_CASE("blobs that are asked for by name") {
  World world;
  const auto one = world.put(world.a, "one");
  world.put(world.a, "two");
  const auto stray = digest_of("stray");
  world.memory->put(stray.to_string(), bytes_of("stray"));
  CHECK(verify(world, {one, stray}).end.done_blobs == 2);
  CHECK(code_of([&] { verify(world, {one, digest_of("unknown")}); }) == Code::kNotFound);
}

TEST_CASE("a blob that is deleted meanwhile is passed over") {
  World world;
  const auto digest = world.put(world.a, "blob");
  bool deleted = false;
  const auto end = content::verify(world.call, *world.content, {},
                                   {[&](const Progress&) {
                                      if (!std::exchange(deleted, true))
                                        world.content->remove(world.call, world.a, digest);
                                    },
                                    [](const Finding&) { FAIL("nothing is wrong"); }});
  CHECK(end.done_blobs == 1);
}

// Runs verify() with a damaged blob and calls `meanwhile` once, when the first MiB of it has been read.
Outcome verify_while(World& world, const Digest& damaged, const std::function<void()>& meanwhile) {
  Outcome outcome;
  bool called = false;
  outcome.end = content::verify(
      world.call, *world.content, {},
      {[&](const Progress& progress) {
         if (progress.current == damaged.to_string() && progress.done_bytes >= 1 << 20 && !std::exchange(called, true))
           meanwhile();
       },
       [&](const Finding& finding) { outcome.found.emplace(finding.digest.to_string(), finding.kind); }});
  CHECK(called);
  return outcome;
}

TEST_CASE("a blob that is deleted and written anew while its damaged bytes are read is not quarantined") {
  World world;
  const std::string text(3 << 20, 'x');
  const auto digest = world.put(world.a, text);
  Bytes flipped = bytes_of(text);
  flipped[5] = 'y';
  const auto rewrite = [&](const content::Client& by) {
    world.content->remove(world.call, world.a, digest);
    world.put(by, text);
  };
  SECTION("with a flipped byte") {
    world.memory->put(digest.to_string(), flipped);
    const Outcome outcome = verify_while(world, digest, [&] { rewrite(world.a); });
    CHECK(outcome.found.empty());
    CHECK(outcome.end.done_bytes == text.size());
  }
  SECTION("by another client") {
    world.memory->put(digest.to_string(), flipped);
    CHECK(verify_while(world, digest, [&] { rewrite(world.b); }).found.empty());
  }
  SECTION("bytes that become fewer") {
    world.memory->readable = 2 << 20;
    CHECK(verify_while(world, digest, [&] {
            world.memory->readable = SIZE_MAX;
            rewrite(world.op);
          }).found.empty());
  }
  SECTION("quarantined by another verification and healed") {
    world.memory->put(digest.to_string(), flipped);
    CHECK(verify_while(world, digest, [&] {
            CHECK(verify(world).found.size() == 1);
            world.put(world.b, text);
          }).found.empty());
    CHECK(world.memory->quarantined.size() == 1);
    world.memory->quarantined.clear();
  }
  SECTION("by hand and with the wrong bytes again: those are found") {
    world.memory->put(digest.to_string(), flipped);
    const Outcome outcome = verify_while(world, digest, [&] {
      rewrite(world.a);
      world.memory->put(digest.to_string(), flipped);
    });
    CHECK(outcome.found == std::map<std::string, FindingKind>{{digest.to_string(), FindingKind::kDamaged}});
    CHECK(world.memory->quarantined.size() == 1);
    return;
  }
  CHECK(world.memory->quarantined.empty());
  CHECK(world.read(digest) == text);
}

TEST_CASE("a verification ends when it is cancelled, late, or its observer throws") {
  World world;
  world.put(world.a, "blob");
  SECTION("cancelled") {
    Call call;
    call.cancel();
    CHECK(code_of([&] { content::verify(call, *world.content, {}, {}); }) == Code::kCancelled);
  }
  SECTION("late") {
    const Call call(Call::Clock::now() - std::chrono::seconds(1));
    CHECK(code_of([&] { content::verify(call, *world.content, {}, {}); }) == Code::kDeadlineExceeded);
  }
  SECTION("thrown") {
    const content::Observer observer{[](const Progress&) { throw Error(Code::kAborted, "enough"); }, {}};
    CHECK(code_of([&] { content::verify(world.call, *world.content, {}, observer); }) == Code::kAborted);
  }
}

TEST_CASE("more blobs than a page") {
  World world;
  for (int i = 0; i < 600; ++i) world.put(i % 2 == 0 ? world.a : world.b, std::to_string(i));
  CHECK(verify(world).end.done_blobs == 600);
  const content::Usage usage = content::usage(world.call, *world.content, {"a", "b"});
  CHECK(usage.total.count == 600);
  CHECK(usage.clients.at("a").claims.count == 300);
  CHECK(usage.shared.count == 0);
  CHECK(usage.pinned.count == 0);
}

TEST_CASE("usage counts a shared blob under each of its holders, also when a holder is no longer configured") {
  World world;
  world.put(world.a, "1");
  const auto shared = world.put(world.b, "22");
  world.content->info(world.call, world.a, shared);
  world.content->open_writer(world.call, world.b, "ref", 0, {}).write(world.call, bytes_of("333"));
  for (const std::vector<std::string>& configured : {std::vector<std::string>{"a"}, {"a", "b"}, {"c"}, {}}) {
    const content::Usage usage = content::usage(world.call, *world.content, configured);
    CHECK(usage.total.bytes == 3);
    CHECK(usage.clients.at("a").claims.bytes == 3);
    CHECK(usage.clients.at("a").ingests.count == 0);
    CHECK(usage.clients.at("b").claims.bytes == 2);
    CHECK(usage.clients.at("b").ingests.bytes == 3);
    CHECK(usage.clients.size() == (configured == std::vector<std::string>{"c"} ? 3 : 2));
    CHECK(usage.shared.bytes == 2);
    CHECK(usage.ingests.bytes == 3);
  }
}

TEST_CASE("losses are counted without reading") {
  World world;
  const auto lost = world.put(world.a, "lost"), cut = world.put(world.a, "cut");
  world.put(world.op, "fine");
  world.memory->drop(lost.to_string());
  world.memory->put(cut.to_string(), bytes_of("c"));
  const content::Losses losses = content::losses(world.call, *world.content);
  CHECK(losses.missing == 1);
  CHECK(losses.damaged == 1);
}

}  // namespace
}  // namespace ipcs::test
