// 100,000 blobs: look-ups cost what they cost among few, and nothing but a pin waits for the disk.
#include <algorithm>
#include <chrono>
#include <thread>

#include "host/catalog/fixture.hpp"
#include "host/catalog/power_loss_vfs.hpp"

namespace ipcs::catalog::testing {
namespace {

constexpr int kMany = 100000;

template <class Body>
double median_us(int runs, Body&& body) {
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body(i);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + runs / 2, times.end());
  return times[static_cast<size_t>(runs / 2)];
}

TEST_CASE("look-ups and claims go by an index") {
  const TempDir dir;
  const auto few = Catalog::open(dir / "few");
  auto many = Catalog::open(dir / "many");
  few->claim("a", digest(0), 1, 1, nullptr);
  many->in_transaction([&] {
    for (int i = 0; i < kMany; ++i) many->claim("a", digest(i), 1, 1, nullptr);
  });
  many.reset();
  const double open_us = median_us(1, [&](int) { many = Catalog::open(dir / "many"); });
  CHECK(open_us < 1e6);
  CHECK(many->totals().blobs == kMany);

  const int runs = 501;
  const auto ratio = [&](auto&& call) {
    const double base = median_us(runs, [&](int i) { call(*few, i); });
    return median_us(runs, [&](int i) { call(*many, i); }) / base;
  };
  // A scan of 100,000 rows takes thousands of times as long as a look-up.
  CHECK(ratio([](Catalog& c, int i) { c.find("a", digest(i * 97)); }) < 20);
  CHECK(ratio([](Catalog& c, int i) { c.find_any("", digest(i * 97)); }) < 20);
  CHECK(ratio([](Catalog& c, int i) { c.claimants(digest(i * 97)); }) < 20);
  CHECK(ratio([](Catalog& c, int i) { c.claim("b", digest(kMany + i), 1, 1, nullptr); }) < 20);
  CHECK(ratio([](Catalog& c, int i) { c.unclaim("b", digest(kMany + i)); }) < 20);
  // Claims on what others hold wait for the disk, so these are taken together.
  few->in_transaction([&] {
    many->in_transaction(
        [&] { CHECK(ratio([](Catalog& c, int i) { c.claim("b", digest(i * 97), 1, 1, nullptr); }) < 20); });
  });
  CHECK(ratio([](Catalog& c, int i) { c.unclaim("b", digest(i * 97)); }) < 20);
  CHECK(ratio([](Catalog& c, int i) { c.list("a", digest(i * 97).to_string(), 1); }) < 20);
}

TEST_CASE("pins sync the log, and claims that could not be made anew") {
  const TempDir dir;
  PowerLossVfs vfs;
  const auto catalog = Catalog::open(dir / "c", {vfs.name()});
  const auto log = [&] { return vfs.syncs("c-wal"); };
  catalog->pin(digest(0), 1, 1, "");

  uint64_t before = vfs.syncs("");
  for (int i = 1; i < 100; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
  for (int i = 1; i < 100; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
  for (int i = 50; i < 100; ++i) catalog->unclaim("a", digest(i));
  catalog->put_ingest({"key", "a", "ref", "", 0, 1, 1});
  CHECK(vfs.syncs("") == before);

  const auto syncs_of = [&](auto&& call) {
    before = log();
    call();
    return log() - before;
  };
  const auto claim = [&](const std::string& client, int number, uint64_t size = 1) {
    return syncs_of([&] { catalog->claim(client, digest(number), size, 1, nullptr); });
  };
  CHECK(claim("a", 0) == 1);  // pinned
  CHECK(claim("a", 0) == 0);
  CHECK(claim("b", 1) == 1);  // a's
  CHECK(claim("b", 1, 2) == 1);
  CHECK(syncs_of([&] { catalog->unclaim("b", digest(1)); }) == 0);
  catalog->unclaim("a", digest(2));
  CHECK(claim("b", 2) == 1);  // a's may come back
  CHECK(syncs_of([&] { catalog->unclaim("b", digest(2)); }) == 0);
  CHECK(claim("b", 3) == 1);  // a's, and it makes sure that b's of 2 is gone
  CHECK(claim("a", 2) == 0);
  catalog->begin_pin(digest(200), 1, 1, "");
  catalog->cancel_pin(digest(200));
  CHECK(claim("a", 200) == 1);
  catalog->forget(digest(200));
  CHECK(claim("a", 200) == 1);
  CHECK(syncs_of([&] { catalog->pin(digest(1), 1, 1, ""); }) == 1);
  CHECK(syncs_of([&] { catalog->unpin(digest(1)); }) == 1);
  CHECK(syncs_of([&] { catalog->begin_pin(digest(2), 1, 1, ""); }) == 1);
  CHECK(syncs_of([&] { catalog->finish_pin(digest(2)); }) == 0);
  CHECK(syncs_of([&] {
          catalog->in_transaction([&] {
            for (int i = 0; i < 100; ++i) catalog->pin(digest(i), 1, 1, "");
          });
        }) == 1);
}

TEST_CASE("a log that has grown is copied into the file while the catalog is in use") {
  const TempDir dir;
  PowerLossVfs vfs;
  const auto catalog = Catalog::open(dir / "c", {vfs.name(), 16});
  const uint64_t before = vfs.syncs("/c");
  for (int i = 0; i < 200; ++i) catalog->claim("a", digest(i), 1, 1, nullptr);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (vfs.syncs("/c") == before && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(vfs.syncs("/c") > before);
  CHECK(catalog->totals().claims == 200);
}

}  // namespace
}  // namespace ipcs::catalog::testing
