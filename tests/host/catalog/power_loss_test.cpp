// The power fails at every step: no acknowledged pin or unpin is lost and the catalog opens again.
#include <random>
#include <set>

#include "host/catalog/fixture.hpp"
#include "host/catalog/power_loss_vfs.hpp"

namespace ipcs::catalog::testing {
namespace {

enum class PinState { kNone, kPending, kPinned };
using Possible = std::set<PinState>;

// What a power loss may leave of each digest's pin.
class Expectation {
 public:
  // One operation on `number`'s pin that may leave it in any of `after` once it was acknowledged. Until then the old
  // states are possible, too.
  template <class Call>
  void run(int number, const Possible& after, Call&& call) {
    Possible& states = states_[number];
    const Possible before = states.empty() ? Possible{PinState::kNone} : states;
    states = before;
    states.insert(after.begin(), after.end());
    call();
    states = after;
  }

  Possible of(int number) const {
    const auto found = states_.find(number);
    return found == states_.end() ? Possible{PinState::kNone} : found->second;
  }

 private:
  std::map<int, Possible> states_;
};

constexpr int kDigests = 6;
constexpr int kOthers = 1000;  // Expectation's number of the run's pin on a digest, less the digest's own

void work(Catalog& catalog, uint32_t seed, Expectation& expected) {
  std::mt19937 random(seed);
  for (int i = 0; i < 40; ++i) {
    const int number = static_cast<int>(random() % kDigests);
    const Digest d = digest(number);
    const Possible now = expected.of(number);
    switch (random() % 9) {
      case 0:
        expected.run(number, {PinState::kPinned}, [&] { catalog.pin(d, 1, 1, std::string(300, 'n')); });
        break;
      case 1:
        expected.run(number, {PinState::kNone}, [&] { catalog.unpin(d); });
        break;
      case 2:
        // Durable also for a pin whose finish was not.
        if (now == Possible{PinState::kNone} || now == Possible{PinState::kPending}) {
          expected.run(number, {PinState::kPending}, [&] { catalog.begin_pin(d, 1, 1, ""); });
        }
        break;
      case 3:
        if (now == Possible{PinState::kPending}) {
          expected.run(number, {PinState::kPending, PinState::kPinned}, [&] { catalog.finish_pin(d); });
        }
        break;
      case 4:
        catalog.claim("a", d, 1, 1, nullptr);
        break;
      case 5:
        catalog.unclaim("a", d);
        break;
      // Another owner's come and go beside.
      case 7:
        expected.run(kOthers + number, {PinState::kPinned}, [&] { catalog.pin(d, 1, 1, "", "run"); });
        break;
      case 8:
        expected.run(kOthers + number, {PinState::kNone}, [&] { catalog.unpin(d, "run"); });
        break;
      default:
        // A transaction with a pin in it is durable as a whole.
        expected.run(number, {PinState::kPinned}, [&] {
          catalog.in_transaction([&] {
            for (int other = 100; other < 110; ++other) catalog.claim("b", digest(other), 1, 1, nullptr);
            catalog.pin(d, 1, 1, "");
          });
        });
    }
  }
}

PinState found(const Catalog& catalog, int number) {
  if (catalog.pinned(digest(number), kOperator)) return PinState::kPinned;
  for (const Digest& pending : catalog.pending_pins()) {
    if (pending == digest(number)) return PinState::kPending;
  }
  return PinState::kNone;
}

// Returns how many steps the work took when the power did not fail.
uint64_t lose_power(const std::string& path, uint64_t step, uint32_t seed, uint32_t remains) {
  PowerLossVfs vfs;
  Expectation expected;
  // A log of few pages, so that it is copied into the file again and again.
  const Catalog::Options options{vfs.name(), 8};
  vfs.fail_at(step);
  try {
    const auto catalog = Catalog::open(path, options);
    work(*catalog, seed, expected);
  } catch (const Error& e) {
    INFO(e.what());
    CHECK(vfs.failed());
  }
  const uint64_t steps = vfs.failed() ? 0 : vfs.steps();
  vfs.restore(remains);
  {
    const auto catalog = Catalog::open(path, options);
    for (int number = 0; number < kDigests; ++number) {
      INFO("digest " << number << " step " << step << " seed " << seed << " remains " << remains);
      REQUIRE(expected.of(number).contains(found(*catalog, number)));
      REQUIRE(expected.of(kOthers + number).contains(catalog->pinned(digest(number), "run") ? PinState::kPinned : PinState::kNone));
    }
    catalog->pin(digest(kDigests), 1, 1, "works on");
  }
  check_file(path, vfs.name());
  return steps;
}

TEST_CASE("the power fails at every step of work with pins") {
  const TempDir dir;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    uint64_t steps = 0;
    for (uint64_t step = 1; steps == 0; ++step) {
      steps = lose_power(dir / "c", step, seed, 0);
      lose_power(dir / "c", step, seed, static_cast<uint32_t>(step));
      REQUIRE(step < 5000);
    }
    CHECK(steps > 100);
  }
}

TEST_CASE("the VFS forgets what was not synced") {
  // The crash tests prove something only if a claim can be lost and a pin would be without its fsync.
  const TempDir dir;
  PowerLossVfs vfs;
  {
    const auto catalog = Catalog::open(dir / "c", {vfs.name()});
    catalog->pin(digest(1), 1, 1, "");
    catalog->claim("a", digest(2), 1, 1, nullptr);
    catalog->begin_pin(digest(3), 1, 1, "");
    catalog->finish_pin(digest(3));
    vfs.fail_at(1);
    CHECK_THROWS_AS(catalog->pin(digest(4), 1, 1, ""), Error);
  }
  vfs.restore(0);
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  CHECK(catalog->pinned(digest(1)));
  CHECK(catalog->find("a", digest(2)));  // begin_pin's fsync covered it
  CHECK(catalog->pending_pins() == std::vector<Digest>{digest(3)});
  CHECK_FALSE(catalog->pinned(digest(4)));
}

TEST_CASE("after a failed fsync no pin is acknowledged until the catalog is opened again") {
  const TempDir dir;
  PowerLossVfs vfs;
  {
    const auto catalog = Catalog::open(dir / "c", {vfs.name()});
    catalog->pin(digest(1), 1, 1, "");
    vfs.refuse_syncs = true;
    CHECK(error_of([&] { catalog->pin(digest(2), 1, 1, ""); }).code() == Code::kInternal);
    vfs.refuse_syncs = false;
    CHECK(error_of([&] { catalog->pin(digest(3), 1, 1, ""); }).code() == Code::kInternal);
    catalog->claim("a", digest(4), 1, 1, nullptr);
    CHECK(catalog->find("a", digest(4)));
  }
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  catalog->pin(digest(3), 1, 1, "");
  CHECK(catalog->pinned(digest(1)));
}

TEST_CASE("a claim whose fsync failed is not seen") {
  const TempDir dir;
  PowerLossVfs vfs;
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  catalog->pin(digest(1), 1, 1, "");
  vfs.refuse_syncs = true;
  CHECK(error_of([&] { catalog->claim("a", digest(1), 1, 1, nullptr); }).code() == Code::kInternal);
  CHECK_FALSE(catalog->find("a", digest(1)));
  CHECK(error_of([&] { catalog->claim("a", digest(1), 1, 1, nullptr); }).code() == Code::kInternal);
  catalog->claim("a", digest(2), 1, 1, nullptr);
  CHECK(catalog->find("a", digest(2)));
}

TEST_CASE("rows that went are remembered, however many they are") {
  const TempDir dir;
  PowerLossVfs vfs;
  const auto catalog = Catalog::open(dir / "c", {vfs.name(), 1 << 20});
  constexpr int kRows = 20000;
  catalog->in_transaction([&] {
    for (int i = 0; i < kRows; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
    catalog->pin(digest(kRows), 1, 1, "");
  });
  catalog->in_transaction([&] {
    for (int i = 0; i < kRows; ++i) catalog->unclaim("a", digest(i));
  });
  const uint64_t before = vfs.syncs("");
  catalog->claim("b", digest(0), 1, 1, nullptr);
  CHECK(vfs.syncs("") == before + 1);
  for (int i = 1; i < 100; ++i) catalog->claim("b", digest(i), 1, 1, nullptr);
  CHECK(vfs.syncs("") == before + 1);
}

TEST_CASE("what a killed process left in the log is safe once the catalog is open") {
  const TempDir dir;
  PowerLossVfs vfs;
  {
    const auto catalog = Catalog::open(dir / "c", {vfs.name()});
    catalog->claim("a", digest(1), 1, 1, nullptr);
    catalog->pin(digest(2), 1, 1, "");
    catalog->unclaim("a", digest(1));
    vfs.fail();  // so that closing does not write
  }
  vfs.resume();
  {
    const auto catalog = Catalog::open(dir / "c", {vfs.name()});
    catalog->claim("b", digest(1), 1, 1, nullptr);
    vfs.fail();
  }
  vfs.restore(0);
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  CHECK_FALSE(catalog->find_any("", digest(1)));  // neither's row: the next start gives the blob to both
}

TEST_CASE("a full disk is told, harms nothing and passes") {
  const TempDir dir;
  PowerLossVfs vfs;
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  catalog->claim("a", digest(1), 1, 1, nullptr);
  vfs.full = true;
  CHECK(error_of([&] { catalog->claim("a", digest(2), 1, 1, nullptr); }).code() == Code::kResourceExhausted);
  CHECK(error_of([&] { catalog->pin(digest(2), 1, 1, ""); }).code() == Code::kResourceExhausted);
  CHECK(error_of([&] {
          catalog->in_transaction([&] {
            try {
              for (int i = 0; i < 20000; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
            } catch (const Error&) {
            }
          });
        }).code() != Code::kOk);
  CHECK(catalog->find("a", digest(1)));
  CHECK_FALSE(catalog->find_any("", digest(2)));
  vfs.full = false;
  catalog->claim("a", digest(2), 1, 1, nullptr);
  CHECK(catalog->totals().blobs == 2);
}

}  // namespace
}  // namespace ipcs::catalog::testing
