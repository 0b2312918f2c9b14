// Conformance of the exported symbol, of validate and open, of statuses, and of what a store says of itself.
#pragma once

#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "ipcs/conformance/context.hpp"

namespace ipcs::conformance {
namespace opening {

inline void check_tables(Context& context) {
  const ipcs_plugin& plugin = *context.subject().plugin;
  require(plugin.magic == IPCS_ABI_MAGIC, "ipcs_plugin.magic is wrong");
  require_equal(plugin.abi_major, IPCS_ABI_MAJOR, "ipcs_plugin.abi_major");
  require(plugin.struct_size >= sizeof(ipcs_plugin), "ipcs_plugin is shorter than in version 1.0");
  require(plugin.validate != nullptr && plugin.open != nullptr, "validate or open is missing");
  require(plugin.store != nullptr && plugin.reader != nullptr && plugin.ingest != nullptr && plugin.cursor != nullptr,
          "a table is missing");
  for (const char* text : {plugin.name, plugin.version, plugin.description, plugin.build})
    require(text != nullptr && *text != 0, "name, version, description or build is missing");
  const std::string_view name = plugin.name;
  require(name.size() <= 32 && name[0] >= 'a' && name[0] <= 'z' &&
              name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos,
          "the name is not [a-z][a-z0-9-]{0,31}");
  require(std::string_view(plugin.description).find('\n') == std::string_view::npos, "the description is not one line");
  const size_t store_size_1_0 = offsetof(ipcs_store_ops, quarantine_blob);
  require(plugin.store->struct_size >= store_size_1_0 && plugin.reader->struct_size >= sizeof(ipcs_reader_ops) &&
              plugin.ingest->struct_size >= sizeof(ipcs_ingest_ops) &&
              plugin.cursor->struct_size >= sizeof(ipcs_cursor_ops),
          "a table is shorter than in version 1.0");
}

inline int32_t validate(Context& context, std::string_view json, ipcs_status& status) {
  return context.subject().plugin->validate(context.host(), to_abi(json), &status);
}

inline void accepts_its_configuration(Context& context) {
  ipcs_status status{};
  detail::check(validate(context, context.subject().config_json, status), status);
}

inline void names_an_unknown_key(Context& context) {
  std::string json = context.subject().config_json;
  const size_t end = json.find_last_of('}');
  require(end != std::string::npos, "the subject's configuration is no JSON object");
  const bool empty = json.find_first_not_of(" \t\r\n", json.find('{') + 1) == end;
  json.insert(end, std::string(empty ? "" : ",") + "\"no-such-key\":1");
  ipcs_status status{};
  const std::string message = require_error({Code::kInvalidArgument}, "validate of an unknown key",
                                            [&] { detail::check(validate(context, json, status), status); });
  require(message.find("no-such-key") != std::string::npos, "the unknown key is not named: " + message);
}

inline void rejects_text_that_is_no_json(Context& context) {
  for (const std::string_view json : {"", "{", "[]", "nonsense"}) {
    ipcs_status status{};
    require_error({Code::kInvalidArgument}, "validate of \"" + std::string(json) + "\"",
                  [&] { detail::check(validate(context, json, status), status); });
  }
}

inline void fills_in_the_status(Context& context) {
  const ipcs_store_ops& ops = *context.store().ops();
  ipcs_status status;
  std::memset(&status, 0x5a, sizeof status);
  ipcs_status before = status;
  ipcs_store_info info{};
  info.struct_size = sizeof info;
  require(ops.info(context.raw_store(), context.call().abi(), &info, &status) == IPCS_OK, "info fails");
  require(std::memcmp(&status, &before, sizeof status) == 0, "a status was changed although the call succeeded");

  const std::string digest = context.unknown_digest();
  ipcs_entry entry{};
  const int32_t code = ops.stat_blob(context.raw_store(), context.call().abi(), to_abi(digest), &entry, &status);
  require_equal(code, static_cast<int32_t>(IPCS_NOT_FOUND), "code of stat_blob");
  require_equal(status.code, code, "code in the status");
  require(status.message_size > 0 && status.message_size <= IPCS_MESSAGE_MAX,
          "the status has no message of valid length");
  require(std::string_view(status.message, status.message_size).find(digest) != std::string_view::npos,
          "the message does not name the digest");
}

inline void describes_itself(Context& context) {
  const StoreInfo before = context.store().info(context.call());
  require(!before.id.empty(), "info.id is empty");
  require(!before.read_only, "info says read-only, but the store was opened for writing");
  context.put(context.bytes(100'000));
  const StoreInfo after = context.store().info(context.call());
  require(after.id == before.id, "info.id changes");
  require(after.used_bytes >= before.used_bytes + 100'000, "used_bytes does not grow with a blob");
}

inline void writes_only_what_the_host_has_room_for(Context& context) {
  ipcs_store_info info;
  std::memset(&info, 0x5a, sizeof info);
  info.struct_size = offsetof(ipcs_store_info, used_bytes);
  ipcs_status status{};
  const ipcs_store_ops& ops = *context.store().ops();
  detail::check(ops.info(context.raw_store(), context.call().abi(), &info, &status), status);
  const uint64_t untouched = 0x5a5a5a5a5a5a5a5a;
  require(info.used_bytes == untouched && info.free_bytes == untouched && info.quota_bytes == untouched,
          "info wrote behind struct_size");
  require(info.struct_size == offsetof(ipcs_store_info, used_bytes), "info changed struct_size");
  require(info.id[0] != 0 && std::memchr(info.id, 0, sizeof info.id) != nullptr, "info.id is no text");
}

inline void has_no_unknown_extension(Context& context) {
  require(context.store().extension("ipcs.no-such-extension/1") == nullptr, "an unknown extension is not NULL");
}

inline void keeps_its_id_and_blobs(Context& context) {
  const Bytes bytes = context.bytes(70'000);
  const std::string digest = context.put(bytes);
  const StoreInfo before = context.store().info(context.call());
  context.reopen();
  context.require_blob(digest, bytes);
  const StoreInfo after = context.store().info(context.call());
  require(after.id == before.id, "info.id is another one after reopening");
  require_equal(after.used_bytes, before.used_bytes, "used_bytes after reopening");
}

inline void keeps_to_read_only(Context& context) {
  if (!context.subject().quirks.read_only) throw NotOffered("the backend is declared to have no read-only mode");
  const Bytes bytes = context.bytes(5000);
  const std::string digest = context.put(bytes);
  const std::string key = context.key();
  context.ingest(key, bytes);
  context.reopen(IPCS_OPEN_READ_ONLY);
  Store& store = context.store();
  require(store.info(context.call()).read_only, "info does not say read-only");
  const std::vector<Code> codes = {Code::kFailedPrecondition, Code::kPermissionDenied, Code::kUnimplemented};
  require_error(codes, "remove_blob, read-only", [&] { store.remove_blob(context.call(), digest); });
  require_error(codes, "quarantine_blob, read-only", [&] { store.quarantine_blob(context.call(), digest); });
  require_error(codes, "discard_ingest, read-only", [&] { store.discard_ingest(context.call(), key); });
  require_error(codes, "open_ingest, read-only", [&] { store.open_ingest(context.call(), context.key(), true, 0); });
  context.require_blob(digest, bytes);
  require_equal(count_of(context.list(store.list_blobs(context.call())), digest), 1u,
                "listings of the blob, read-only");
  require_equal(count_of(context.list(store.list_ingests(context.call())), key), 1u,
                "listings of the ingest, read-only");
}

inline void keeps_two_stores_apart(Context& context) {
  if (context.subject().other_config_json.empty()) throw NotOffered("no second configuration was given");
  const std::string digest = context.put(context.bytes(3000));
  const Store other = context.open_with(context.subject().other_config_json, 0);
  require(!other.stat_blob(context.call(), digest), "a blob shows up in another store");
  require(other.info(context.call()).id != context.store().info(context.call()).id, "two stores have the same id");
}

// A cancelled call, or one that is too late, either does its work or says so.
inline void gives_up_when_told(Context& context) {
  Call cancelled;
  cancelled.cancel();
  Call late(Call::Clock::now() - std::chrono::seconds(1));
  const Bytes bytes = context.bytes(9000);
  const std::string key = context.key();
  for (const auto& [call, code] : {std::pair<const Call*, Code>(&cancelled, Code::kCancelled),
                                   std::pair<const Call*, Code>(&late, Code::kDeadlineExceeded)}) {
    try {
      Ingest ingest = context.store().open_ingest(*call, key, true, 0);
      ingest.append(*call, bytes);
    } catch (const Error& error) {
      require(error.code() == code,
              std::string("a call that is over fails with ") + code_name(error.code()) + ": " + error.what());
    }
  }
  Ingest ingest = context.store().open_ingest(context.call(), key, true, 0);
  ingest.truncate(context.call(), 0);
  ingest.append(context.call(), bytes);
  require(context.read(ingest) == bytes, "an ingest is damaged by calls that were over");
}

}  // namespace opening

inline std::vector<Case> opening_cases() {
  using namespace opening;
  return {{"plugin: the symbol and its tables are complete", check_tables},
          {"plugin: validate accepts its configuration", accepts_its_configuration},
          {"plugin: validate names an unknown key", names_an_unknown_key},
          {"plugin: validate rejects text that is no JSON object", rejects_text_that_is_no_json},
          {"status: untouched after success, complete after an error", fills_in_the_status},
          {"store: info has an id and counts bytes", describes_itself},
          {"store: info keeps within the host's struct", writes_only_what_the_host_has_room_for},
          {"store: an unknown extension is NULL", has_no_unknown_extension},
          {"store: reopening keeps id and blobs", keeps_its_id_and_blobs},
          {"store: read-only changes nothing", keeps_to_read_only},
          {"store: two stores in one process are apart", keeps_two_stores_apart},
          {"call: cancelled or late calls harm nothing", gives_up_when_told}};
}

}  // namespace ipcs::conformance
