// Backend and catalog lose power at the same moment, before every single step of what two containerds and the operator
// do: nothing acknowledged is lost, no wrong byte is served, and nothing stays that its holders can't free.
#include <algorithm>
#include <set>
#include <thread>

#include "content/verify.hpp"
#include "host/catalog/power_loss_vfs.hpp"
#include "host/content/world.hpp"
#include "local_store.hpp"
#include "plugins/local/fake_disk.hpp"

namespace ipcs::test {
namespace {

using content::Client;
using local::test::FakeDisk;
using local::test::FakeFileSystem;
using local::test::Loss;
using oci::Digest;

const std::vector<Client> kClients{{"a"}, {"b"}, {content::kOperator, true}};
const Client &a = kClients[0], &b = kClients[1], &op = kClients[2];

// A machine whose store and catalog hang on one power supply.
struct Machine {
  TempDir dir;
  FakeDisk disk;
  catalog::testing::PowerLossVfs vfs;

  Machine() {
    disk.on_failure = [this] { vfs.fail(); };
    vfs.on_failure = [this] { disk.fail(); };
  }
  // The power is back. `loss` and `seed` say what is left of the store, `log_seed` of the catalog, as their restart()
  // and restore() have it.
  void restart(Loss loss, uint32_t seed, uint32_t log_seed) {
    disk.broken_file_syncs = 0;
    disk.restart(loss, seed);
    if (loss == Loss::kNone) {
      vfs.resume();
    } else {
      vfs.restore(log_seed);
    }
  }
};

// What was acknowledged. What is under way is in it neither before nor after.
struct Ledger {
  std::map<Digest, std::string> texts;
  std::map<Digest, std::set<std::string>> holders;
  std::set<Digest> rotten;  // wrong bytes may be stored
  std::set<Digest> lost;    // the right bytes need not be stored
};

// The daemon from a start to its end.
class Daemon {
 public:
  Daemon(Machine& machine, Ledger& ledger) : machine_(machine), ledger_(ledger) {
    content::RecoveryOptions options;
    options.clients = {a.name, b.name};
    options.backend = "local";
    content::recover(call_, stores_, *catalog_, 1, options, log::Log::none());
  }

  catalog::Catalog& catalog() { return *catalog_; }
  content::Content& content() { return content_; }

  // Whether or not the blob is there, the client holds it afterwards.
  void write(const Client& client, const std::string& text, bool expect = false) {
    const Digest digest = note(text);
    const std::string expected = expect ? digest.to_string() : std::string();
    Code code = Code::kOk;
    try {
      content::Writer writer = content_.open_writer(call_, client, "ref " + text, 0, expected);
      if (writer.status().offset > 0) writer.truncate(call_);
      const Bytes bytes = bytes_of(text);
      writer.write(call_, std::span(bytes).first(bytes.size() / 2));
      writer.write(call_, std::span(bytes).subspan(bytes.size() / 2));
      writer.commit(call_, 0, digest.to_string(), nullptr);
    } catch (const Error& e) {
      if (e.code() != Code::kAlreadyExists) throw;
      code = e.code();
    }
    ledger_.holders[digest].insert(client.name);
    if (code == Code::kOk) ledger_.lost.erase(digest);
  }
  // The operator's pin, a client's claim.
  void hold(const Client& client, const std::string& text) {
    const Digest digest = note(text);
    if (client.is_operator) {
      content_.pin(call_, digest, "kept");
    } else {
      content_.info(call_, client, digest);
    }
    ledger_.holders[digest].insert(client.name);
  }
  void remove(const Client& client, const std::string& text) {
    ledger_.holders[note(text)].erase(client.name);
    content_.remove(call_, client, digest_of(text));
  }
  // Bits rot: the first byte of the blob's file changes.
  void flip(const std::string& text) {
    const Digest digest = note(text);
    ledger_.rotten.insert(digest);
    ledger_.lost.insert(digest);
    const auto file =
        FakeFileSystem(machine_.disk).open("blobs/sha256/" + std::string(digest.hex()), local::OpenMode::kWrite);
    const uint8_t wrong = '!';
    file->write_at(0, {&wrong, 1});
    file->sync();
  }
  void verify() {
    content::verify(call_, content_, {}, {});
    ledger_.rotten.clear();
  }
  void leave_half_an_ingest() { content_.open_writer(call_, a, "half", 0, {}).write(call_, bytes_of("ha")); }
  // The operator's write, whose pin is begun, fails.
  void fail_to_write(const std::string& text) {
    machine_.disk.broken_file_syncs = 2;  // the journal's, and the file's own
    try {
      write(op, text);
    } catch (const Error& e) {
      if (e.code() != Code::kDataLoss) throw;
    }
    machine_.disk.broken_file_syncs = 0;
  }

  void check() {
    std::set<std::string> stored;
    Cursor cursor = store_.list_blobs(call_);
    for (auto entries = cursor.next(call_); !entries.empty(); entries = cursor.next(call_)) {
      for (const Entry& entry : entries) {
        stored.insert(entry.name);
        const Digest digest = Digest::parse(entry.name);
        INFO(ledger_.texts[digest]);
        if (!ledger_.rotten.contains(digest)) REQUIRE(read(digest) == ledger_.texts[digest]);
      }
    }
    for (const auto& [digest, holders] : ledger_.holders) {
      for (const std::string& holder : holders) {
        INFO(holder << " holds " << ledger_.texts[digest]);
        REQUIRE((holder == op.name ? catalog_->pinned(digest) : catalog_->find(holder, digest).has_value()));
        if (!ledger_.lost.contains(digest)) REQUIRE(stored.contains(digest.to_string()));
      }
    }
    REQUIRE(catalog_->pending_pins().empty());
  }

  // Each in turn drops everything, as garbage collection does; the others lose nothing, and at the end all is gone.
  void drop_everything(std::vector<size_t> order) {
    for (const size_t each : order) {
      const Client& client = kClients[each];
      for (auto& [digest, holders] : ledger_.holders) holders.erase(client.name);
      each_page(content_.list(client, content::Filter::parse({})), [&](std::span<const content::Blob> page) {
        for (const content::Blob& blob : page) content_.remove(call_, client, blob.digest);
      });
      for (const auto& ingest : content_.list_statuses(call_, client, content::Filter::parse({})))
        content_.abort(call_, client, ingest.ref);
      check();
    }
    const catalog::Totals totals = catalog_->totals();
    REQUIRE(totals.blobs + totals.claims + totals.pins + totals.ingests == 0);
    REQUIRE(store_.list_blobs(call_).next(call_).empty());
    REQUIRE(store_.list_ingests(call_).next(call_).empty());
  }

 private:
  Digest note(const std::string& text) {
    const Digest digest = digest_of(text);
    ledger_.texts.emplace(digest, text);
    return digest;
  }
  std::string read(const Digest& digest) {
    const BlobReader reader = store_.open_blob(call_, digest.to_string());
    Bytes bytes(reader.size());
    bytes.resize(reader.read_at(call_, 0, bytes));
    return std::string(bytes.begin(), bytes.end());
  }
  // The tables of the backend in memory fit every backend that is written with the SDK.
  static Store open_store(FakeDisk& disk) {
    const Call call;
    const local::Config config{.path = "/fake", .journal = 64 << 10, .journal_thread = false};
    std::unique_ptr<plugin::ContentStore> store =
        std::make_unique<local::LocalStore>(std::make_unique<FakeFileSystem>(disk), config, false, "fake-id",
                                            plugin::Call(call.abi()));
    return {&memory::kPlugin, plugin::detail::release<ipcs_store>(std::move(store)), nullptr};
  }

  Machine& machine_;
  Ledger& ledger_;
  const Call call_;
  Store store_ = open_store(machine_.disk);
  content::Stores stores_{store_};
  // A log of few pages, so that it is copied into the file now and then.
  const std::unique_ptr<catalog::Catalog> catalog_ =
      catalog::Catalog::open(machine_.dir / "catalog.db", {machine_.vfs.name(), 24});
  content::Content content_{stores_, *catalog_, {8, {}, [] { return int64_t{1}; }, log::Log::none()}};
};

// What happens on the first day.
void live(Machine& machine, Ledger& ledger) {
  {
    Daemon daemon(machine, ledger);
    daemon.write(a, "one");
    daemon.hold(b, "one");  // a's
    daemon.hold(op, "one");
    daemon.write(op, "two");
    daemon.hold(a, "two");   // pinned, by Info
    daemon.write(b, "two");  // by COMMIT
    daemon.write(a, "three", true);
    daemon.remove(a, "one");
    daemon.remove(op, "one");  // b's is left
    daemon.remove(a, "three");
    daemon.write(b, "three");  // anew: its row has just gone
    daemon.remove(op, "two");
    daemon.remove(a, "two");
    daemon.write(a, "one", true);  // by the first message
    daemon.leave_half_an_ingest();
    daemon.fail_to_write("four");
    daemon.write(b, "four");
  }
  Daemon daemon(machine, ledger);
  daemon.flip("one");
  daemon.verify();
  daemon.write(b, "one");
  daemon.remove(b, "three");
  daemon.write(op, "three");
  daemon.hold(b, "three");
  daemon.remove(op, "three");
  daemon.write(a, "five");
  daemon.remove(a, "five");
  daemon.write(op, "five");
  daemon.write(a, "five");
  daemon.remove(op, "five");
  daemon.remove(b, "four");
}

// What happens after that, without a fault.
void live_on(Daemon& daemon) {
  daemon.verify();
  for (const std::string text : {"one", "two", "three", "four", "five"}) {
    daemon.write(b, text);
    daemon.hold(a, text);
    daemon.remove(b, text);
    daemon.write(op, text);
    daemon.remove(a, text);
    daemon.write(a, text);
  }
}

// What a restart leaves.
struct Remains {
  Loss loss;
  uint32_t seed, log_seed;
};

// One life with a power loss that `plan` has set; returns whether it came to pass.
bool lose_power(Remains remains, size_t number, const std::function<void(Machine&)>& plan) {
  Machine machine;
  Ledger ledger;
  plan(machine);
  bool lost = false;
  try {
    live(machine, ledger);
  } catch (const Error& e) {
    INFO(e.what());
    REQUIRE(machine.disk.is_off());
    lost = true;
  }
  machine.restart(remains.loss, remains.seed, remains.log_seed);
  {
    Daemon daemon(machine, ledger);
    daemon.check();
    live_on(daemon);
    daemon.check();
    // The next one comes right behind the last acknowledgement.
    machine.disk.fail();
    machine.vfs.fail();
  }
  machine.restart(Loss::kEverything, 0, number % 2 == 0 ? 0 : static_cast<uint32_t>(number));
  std::vector<size_t> order{0, 1, 2};
  for (size_t i = 0; i < number % 6; ++i) std::next_permutation(order.begin(), order.end());
  Daemon daemon(machine, ledger);
  daemon.check();
  daemon.drop_everything(order);
  return lost;
}

// At every step of either; returns how many there were.
size_t lose_power_everywhere(const std::function<Remains(uint32_t step)>& remains) {
  size_t steps = 0;
  for (const bool catalog : {false, true}) {
    bool lost = true;
    for (uint32_t step = 0; lost; ++step, ++steps) {
      INFO((catalog ? "step of the catalog " : "step of the store ") << step);
      lost = lose_power(remains(step), step, [&](Machine& machine) {
        catalog ? machine.vfs.fail_at(step + 1) : machine.disk.fail_at(step);
      });
      REQUIRE(step < 5000);
    }
  }
  return steps;
}

TEST_CASE("a kill at every step") {
  CHECK(lose_power_everywhere([](uint32_t) { return Remains{Loss::kNone, 0, 0}; }) > 300);
}

TEST_CASE("a power loss at every step: what was not synced is gone") {
  CHECK(lose_power_everywhere([](uint32_t) { return Remains{Loss::kEverything, 0, 0}; }) > 300);
}

TEST_CASE("a power loss at every step: some of what was not synced is there") {
  const uint32_t seed = GENERATE(1u, 1001u);
  CHECK(lose_power_everywhere([&](uint32_t step) {
          const uint32_t chance = seed + step;
          return chance % 3 == 0 ? Remains{Loss::kEverything, 0, chance}
                                 : Remains{Loss::kSome, chance, chance % 3 == 1 ? 0 : chance};
        }) > 300);
}

TEST_CASE("Info says yes to a claim only when it is safe, whoever made it") {
  Machine machine;
  Ledger ledger;
  Gate gate;
  machine.vfs.before_sync = [&] { gate.pass(); };
  std::atomic<int> answers{0};
  std::thread first, second;
  {
    Daemon daemon(machine, ledger);
    daemon.write(op, "blob");
    gate.close();
    const int before = gate.arrived();
    const auto ask = [&] {
      daemon.content().info(Call(), b, digest_of("blob"));
      ++answers;
    };
    first = std::thread(ask);
    CHECK(gate.wait_for(before + 1));
    CHECK(daemon.catalog().find(b.name, digest_of("blob")));
    second = std::thread(ask);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(answers == 0);
    gate.open();
    first.join();
    second.join();
    CHECK(answers == 2);
  }
}

}  // namespace
}  // namespace ipcs::test
