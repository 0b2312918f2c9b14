// Growth of the ABI in both directions: a plugin built with the header of 1.0, and one whose tables are longer than
// ours.
#include "loaded_plugin.hpp"

namespace ipcs {
namespace {

constexpr const char* kHello = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

Store open(const ipcs_plugin* plugin, const conformance::QuietHost& host, const Call& call) {
  ipcs_status status{};
  ipcs_store* store = nullptr;
  detail::check(plugin->validate(host.table(), to_abi("{}"), &status), status);
  detail::check(plugin->open(host.table(), call.abi(), to_abi("{}"), 0, &store, &status), status);
  return Store(plugin, store, nullptr);
}

void use_everything(const ipcs_plugin* plugin) {
  const conformance::QuietHost host("");
  const Call call;
  Store store = open(plugin, host, call);
  CHECK(store.info(call).id == plugin->name);
  REQUIRE(store.stat_blob(call, kHello));
  CHECK(store.stat_blob(call, kHello)->size == 5);
  {
    const BlobReader reader = store.open_blob(call, kHello);
    std::array<uint8_t, 8> bytes{};
    REQUIRE(reader.read_cached(0, bytes) == 0);  // neither plugin has it
    REQUIRE(reader.read_at(call, 0, bytes) == 5);
    CHECK(std::string(bytes.begin(), bytes.begin() + 5) == "hello");
  }
  {
    Cursor cursor = store.list_blobs(call);
    CHECK(cursor.next(call).size() == 1);
    CHECK(cursor.next(call).empty());
  }
  CHECK_THROWS_AS(store.open_ingest(call, "key", true, 0), Error);
  CHECK(store.quarantine_blob(call, kHello));  // neither plugin has it: the blob is removed
  CHECK_FALSE(store.stat_blob(call, kHello));
  CHECK_FALSE(store.quarantine_blob(call, kHello));
}

}  // namespace

TEST_CASE("a plugin built with the header of ABI 1.0 works") {
  const ipcs_plugin* plugin = test::load_plugin(IPCS_TEST_PLUGIN_DIR "/old_header.so");
  REQUIRE(plugin->magic == IPCS_ABI_MAGIC);
  CHECK(plugin->abi_minor == 0);
  CHECK(plugin->store->struct_size == offsetof(ipcs_store_ops, quarantine_blob));
  CHECK_FALSE(IPCS_HAS(plugin->store, quarantine_blob));
  CHECK(plugin->reader->struct_size == offsetof(ipcs_reader_ops, read_cached));
  CHECK_FALSE(IPCS_HAS(plugin->reader, read_cached));
  use_everything(plugin);
}

TEST_CASE("a plugin whose tables are larger than this host knows works") {
  const ipcs_plugin* plugin = test::load_plugin(IPCS_TEST_PLUGIN_DIR "/larger_tables.so");
  REQUIRE(plugin->magic == IPCS_ABI_MAGIC);
  CHECK(plugin->abi_minor > IPCS_ABI_MINOR);
  CHECK(plugin->struct_size > sizeof(ipcs_plugin));
  CHECK(plugin->store->struct_size > sizeof(ipcs_store_ops));
  CHECK(plugin->reader->struct_size > sizeof(ipcs_reader_ops));
  CHECK(plugin->ingest->struct_size > sizeof(ipcs_ingest_ops));
  CHECK(plugin->cursor->struct_size > sizeof(ipcs_cursor_ops));
  use_everything(plugin);
}

}  // namespace ipcs
