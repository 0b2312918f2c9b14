// The copy that goes on by itself: its rate, its company, and how it ends.
#include "content/background_copy.hpp"

#include <atomic>

#include "content/copy.hpp"
#include "host/content/world.hpp"

using namespace ipcs;
using namespace ipcs::test;
using content::BackgroundCopy;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kMiB = 1 << 20;

void fill(World& w, size_t mebibytes) {
  w.recover();
  for (size_t i = 0; i < mebibytes; ++i) w.put(w.a, std::string(kMiB, static_cast<char>('a' + i)));
  w.switch_store();
  w.recover();
}

void wait_for_end(const BackgroundCopy& copy) {
  for (const auto limit = Clock::now() + 20s; copy.active() && Clock::now() < limit;) std::this_thread::sleep_for(5ms);
  REQUIRE_FALSE(copy.active());
}

// How long it takes.
double seconds_of(World& w, uint64_t rate, std::function<double()> activity = {}) {
  const auto begin = Clock::now();
  const BackgroundCopy copy(*w.content, {rate, std::move(activity), 10ms}, log::Log::none());
  wait_for_end(copy);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

TEST_CASE("all is copied at the rate, and more slowly while clients are busy") {
  World w;
  fill(w, 4);
  const bool busy = GENERATE(false, true);
  double activity = 0;
  const double seconds = seconds_of(w, 40 * kMiB, [&] { return busy ? ++activity : 1; });
  CHECK(seconds >= (busy ? 0.38 : 0.09));
  CHECK(w.stores->lacking().count == 0);
  CHECK(w.memory->blobs.size() == 4);
  CHECK(w.catalog->previous_store_id().empty());
}

TEST_CASE("it waits for another copy to end, and ends with its object in the middle of a pause") {
  World w;
  fill(w, 2);
  {
    const BackgroundCopy slow(*w.content, {1000, {}, 10ms}, log::Log::none());
    std::this_thread::sleep_for(50ms);
    CHECK(slow.active());
  }
  CHECK(w.stores->lacking().count > 0);
  std::unique_lock alone(w.stores->copying());
  const BackgroundCopy copy(*w.content, {1000 * kMiB, {}, 10ms}, log::Log::none());
  std::this_thread::sleep_for(50ms);
  CHECK(copy.active());
  CHECK(w.stores->lacking().count > 0);
  alone.unlock();
  wait_for_end(copy);
  CHECK(w.stores->lacking().count == 0);
}

TEST_CASE("what is damaged stays behind, and is not tried for ever") {
  World w;
  w.recover();
  const auto damaged = w.put(w.a, "damaged"), sound = w.put(w.a, "sound");
  w.switch_store();
  w.recover();
  w.before->blobs.at(damaged.to_string()).bytes = std::make_shared<const Bytes>(bytes_of("DAMAGED"));
  CHECK(seconds_of(w, 1000 * kMiB) < 10);
  CHECK(w.stores->lacking().count == 1);
  CHECK(w.read(sound) == "sound");
}
