// The optional features, from the author's classes through the C tables to the host's objects.
#include <catch2/catch.hpp>
#include <functional>

#include "ipcs/plugin_extensions.hpp"
#include "ipcs/store_extensions.hpp"

namespace ipcs {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kOther = "sha256:" + std::string(64, 'b');
constexpr const char* kCid = "QmRJzsvyCQyizr73Gmms8ZRtvNxmgqumxc2KUp71dfEmoj";

// A store with nothing in it.
class Empty : public plugin::ContentStore {
 public:
  plugin::StoreInfo info(const plugin::Call&) override { return {}; }
  plugin::Entry stat_blob(const plugin::Call&, std::string_view digest) override { throw missing(digest); }
  std::unique_ptr<plugin::Reader> open_blob(const plugin::Call&, std::string_view digest) override {
    throw missing(digest);
  }
  std::unique_ptr<plugin::Cursor> list_blobs(const plugin::Call&) override { throw missing("list"); }
  void remove_blob(const plugin::Call&, std::string_view digest) override { throw missing(digest); }
  std::unique_ptr<plugin::Ingest> open_ingest(const plugin::Call&, std::string_view key, bool, uint64_t) override {
    throw missing(key);
  }
  std::unique_ptr<plugin::Cursor> list_ingests(const plugin::Call&) override { throw missing("list"); }
  void discard_ingest(const plugin::Call&, std::string_view key) override { throw missing(key); }

  static Error missing(std::string_view what) { return {Code::kNotFound, std::string(what) + ": not found"}; }
};

struct Blocks : plugin::BlockCursor {
  std::vector<plugin::BlockEntry> next(const plugin::Call&, size_t capacity) override {
    if (too_many) return std::vector<plugin::BlockEntry>(capacity + 1);
    if (done) return {};
    done = true;
    return {{kCid, 100, 0, 300000, false, true}, {"bafkqaaa", 262158, 7, 262144, true, false}};
  }
  bool done = false;
  bool too_many = false;
};

struct Export : plugin::CarExport {
  explicit Export(std::string t) : text(std::move(t)) {}
  size_t read(const plugin::Call&, std::span<uint8_t> out) override {
    const size_t count = std::min(out.size(), text.size());
    std::copy_n(text.begin(), count, out.begin());
    text.erase(0, count);
    return count;
  }
  std::string text;
};

struct Import : plugin::CarImport {
  explicit Import(int& o) : open(o) { ++open; }
  ~Import() override { --open; }
  void append(const plugin::Call&, std::span<const uint8_t> bytes) override {
    if (bytes[0] == 'x') throw Error(Code::kDataLoss, "block x: wrong bytes");
    roots += bytes.size();
  }
  std::vector<std::string> finish(const plugin::Call&) override { return std::vector<std::string>(roots, kCid); }
  size_t roots = 0;
  int& open;
};

// Everything that there is.
class Full : public Empty,
             public plugin::Locator,
             public plugin::BlockLister,
             public plugin::Adopter,
             public plugin::CarExchange,
             public plugin::Prefetcher,
             public plugin::Repairer {
 public:
  const void* extension(std::string_view id) noexcept override { return plugin::extension_of<Full>(id); }

  std::string cid_of(const plugin::Call&, std::string_view digest) override {
    if (digest != kDigest) throw missing(digest);
    return kCid;
  }
  plugin::Entry look_up(const plugin::Call& call, std::string_view digest) override {
    call.check();
    if (digest != kDigest) throw missing(digest);
    return {std::string(digest), 42, 1, 2};
  }
  std::unique_ptr<plugin::BlockCursor> list_blocks(const plugin::Call&, std::string_view digest) override {
    auto blocks = std::make_unique<Blocks>();
    blocks->too_many = digest != kDigest;
    return blocks;
  }
  plugin::Adopted adopt_blob(const plugin::Call&, std::string_view digest, std::string_view chunker,
                             std::string_view profile) override {
    if (digest != kDigest) throw missing(digest);
    return {kOther, std::string(chunker) + "," + std::string(profile), 1, 2, 3};
  }
  plugin::Adopted adopt_cid(const plugin::Call&, std::string_view cid, std::string_view digest,
                            uint64_t expected_size) override {
    return {std::string(digest), std::string(cid), expected_size, 0, 0};
  }
  std::unique_ptr<plugin::CarExport> open_export(const plugin::Call&,
                                                 std::span<const std::string_view> roots) override {
    std::string text;
    for (const std::string_view root : roots) text += root;
    return std::make_unique<Export>(std::move(text));
  }
  std::unique_ptr<plugin::CarImport> open_import(const plugin::Call&) override {
    return std::make_unique<Import>(open_imports);
  }
  void prefetch(const plugin::Call&, std::string_view digest, uint64_t offset, uint64_t size) override {
    throw Error(Code::kNotFound, std::string(digest) + ": " + std::to_string(offset) + "+" + std::to_string(size));
  }
  plugin::Repaired repair(const plugin::Call&, bool dry_run, const plugin::RepairSink& sink) override {
    sink.progress({1, 2, 3, 4, kDigest});
    sink.found({IPCS_DIFFERENCE_MISSING, kDigest, "no entry", !dry_run});
    sink.found({IPCS_DIFFERENCE_LEAKED, kCid, std::string(2 * IPCS_MESSAGE_MAX, 'x'), false});
    sink.found({IPCS_DIFFERENCE_DAMAGED, kOther, "", false});
    return {1, 2, 3, 4};
  }
  int open_imports = 0;
};

constexpr ipcs_plugin kPlugin = {.magic = IPCS_ABI_MAGIC,
                                 .struct_size = sizeof(ipcs_plugin),
                                 .abi_major = IPCS_ABI_MAJOR,
                                 .abi_minor = IPCS_ABI_MINOR,
                                 .name = "test",
                                 .version = "1",
                                 .description = "",
                                 .build = "",
                                 .validate = nullptr,
                                 .open = nullptr,
                                 .store = &plugin::detail::kStoreOps,
                                 .reader = &plugin::detail::kReaderOps,
                                 .ingest = &plugin::detail::kIngestOps,
                                 .cursor = &plugin::detail::kCursorOps};

Store opened(std::unique_ptr<plugin::ContentStore> store) {
  return Store(&kPlugin, plugin::detail::release<ipcs_store>(std::move(store)), nullptr);
}

std::span<const uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Code code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  return Code::kOk;
}

}  // namespace

TEST_CASE("a store without features offers none") {
  const Store store = opened(std::make_unique<Empty>());
  CHECK_FALSE(Locator::of(store));
  CHECK_FALSE(BlockLister::of(store));
  CHECK_FALSE(Adopter::of(store));
  CHECK_FALSE(CarExchange::of(store));
  CHECK_FALSE(Prefetcher::of(store));
  CHECK_FALSE(Repairer::of(store));
  CHECK(plugin::extension_of<Full>("ipcs.locate/2") == nullptr);
}

TEST_CASE("a table shorter than its first version is none") {
  struct Short : Empty {
    const void* extension(std::string_view) noexcept override {
      static constexpr ipcs_locate_ops kShort = {.struct_size = 16, .reserved = 0, .cid_of = nullptr, .look_up = nullptr};
      return &kShort;
    }
  };
  CHECK_FALSE(Locator::of(opened(std::make_unique<Short>())));
}

TEST_CASE("locate") {
  const Store store = opened(std::make_unique<Full>());
  const auto locator = Locator::of(store);
  REQUIRE(locator);
  const Call call;
  CHECK(locator->cid_of(call, kDigest) == kCid);
  CHECK_FALSE(locator->cid_of(call, kOther));
  CHECK(locator->look_up(call, kDigest)->size == 42);
  CHECK_FALSE(locator->look_up(call, kOther));
  const Call late(Call::Clock::now());
  CHECK(code_of([&] { locator->look_up(late, kDigest); }) == Code::kDeadlineExceeded);
}

TEST_CASE("blocks") {
  const Store store = opened(std::make_unique<Full>());
  const auto lister = BlockLister::of(store);
  REQUIRE(lister);
  const Call call;
  BlockCursor cursor = lister->list_blocks(call, kDigest);
  const auto blocks = cursor.next(call);
  REQUIRE(blocks.size() == 2);
  CHECK((blocks[0].cid == kCid && blocks[0].size == 100 && blocks[0].length == 300000 && !blocks[0].leaf &&
         blocks[0].local));
  CHECK((blocks[1].offset == 7 && blocks[1].leaf && !blocks[1].local));
  CHECK(cursor.next(call).empty());
  CHECK(code_of([&] { lister->list_blocks(call, kOther).next(call, 4); }) == Code::kInternal);
}

TEST_CASE("adopt") {
  const Store store = opened(std::make_unique<Full>());
  const auto adopter = Adopter::of(store);
  REQUIRE(adopter);
  const Call call;
  const Adopted blob = adopter->adopt_blob(call, kDigest, "size-1024", "default");
  CHECK((blob.digest == kOther && blob.cid == "size-1024,default" && blob.size == 1 && blob.blocks == 2 &&
         blob.block_bytes == 3));
  CHECK(code_of([&] { adopter->adopt_blob(call, kOther, "", ""); }) == Code::kNotFound);
  const Adopted file = adopter->adopt_cid(call, kCid, kDigest, 7);
  CHECK((file.digest == kDigest && file.cid == kCid && file.size == 7 && file.blocks == 0));
}

TEST_CASE("CARs out and in") {
  auto full = std::make_unique<Full>();
  const int& open_imports = full->open_imports;
  const Store store = opened(std::move(full));
  const auto car = CarExchange::of(store);
  REQUIRE(car);
  const Call call;
  const std::vector<std::string> roots{"one", "two"};
  CarExport out = car->open_export(call, roots);
  std::array<uint8_t, 4> piece{};
  CHECK((out.read(call, piece) == 4 && out.read(call, piece) == 2 && out.read(call, piece) == 0));
  {
    CarImport in = car->open_import(call);
    CHECK(open_imports == 1);
    in.append(call, bytes("ab"));
    CHECK(code_of([&] { in.append(call, bytes("x")); }) == Code::kDataLoss);
    CHECK(in.finish(call) == std::vector<std::string>{kCid, kCid});
    in.append(call, bytes(std::string(CarImport::kMaxRoots, 'r')));
    CHECK(code_of([&] { in.finish(call); }) == Code::kInvalidArgument);
  }
  CHECK(open_imports == 0);
}

TEST_CASE("prefetch") {
  const Store store = opened(std::make_unique<Full>());
  const auto prefetcher = Prefetcher::of(store);
  REQUIRE(prefetcher);
  const Call call;
  CHECK_THROWS_WITH(prefetcher->prefetch(call, kDigest, 3, 4), kDigest + ": 3+4");
}

TEST_CASE("repair tells what it finds, and ends when it is told to") {
  const Store store = opened(std::make_unique<Full>());
  const auto repairer = Repairer::of(store);
  REQUIRE(repairer);
  const Call call;
  std::vector<Difference> found;
  RepairProgress seen;
  const Repairer::Observer observer{[&](const Difference& difference) { found.push_back(difference); },
                                    [&](const RepairProgress& progress) { seen = progress; }};
  const Repaired repaired = repairer->repair(call, false, observer);
  CHECK((repaired.blobs == 1 && repaired.bytes == 2 && repaired.claims == 3 && repaired.pending == 4));
  CHECK((seen.done_blobs == 1 && seen.total_blobs == 2 && seen.done_bytes == 3 && seen.total_bytes == 4 && seen.current == kDigest));
  REQUIRE(found.size() == 3);
  CHECK((found[0].kind == Difference::Kind::kMissing && found[0].name == kDigest && found[0].detail == "no entry" && found[0].mended));
  CHECK((found[1].kind == Difference::Kind::kLeaked && found[1].name == kCid && found[1].detail.size() == IPCS_MESSAGE_MAX - 1));
  CHECK(found[2].kind == Difference::Kind::kDamaged);
  found.clear();
  repairer->repair(call, true, observer);
  CHECK_FALSE(found[0].mended);

  int told = 0;
  const Repairer::Observer enough{[&](const Difference&) { ++told; throw Error(Code::kAborted, "enough"); }, {}};
  CHECK(code_of([&] { repairer->repair(call, false, enough); }) == Code::kAborted);
  CHECK(told == 1);
}

}  // namespace ipcs
