// The layout gate: every offset and size of the ABI, as version 1 promised them. A line here never changes within
// version 1; a member that is added gets a line of its own.
#include <catch2/catch.hpp>
#include <cstddef>
#include <type_traits>

#include "ipcs/content_store.h"
#include "ipcs/extensions.h"

#define AT(type, member, offset) static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")
#define SIZE(type, size) static_assert(sizeof(type) == (size) && std::is_standard_layout_v<type>, #type " has changed")

static_assert(sizeof(void*) == 8, "the numbers are those of 64-bit machines");

AT(ipcs_str, data, 0);
AT(ipcs_str, size, 8);
SIZE(ipcs_str, 16);
AT(ipcs_bytes, data, 0);
AT(ipcs_bytes, size, 8);
SIZE(ipcs_bytes, 16);
AT(ipcs_span, data, 0);
AT(ipcs_span, size, 8);
SIZE(ipcs_span, 16);

AT(ipcs_status, code, 0);
AT(ipcs_status, message_size, 4);
AT(ipcs_status, message, 8);
SIZE(ipcs_status, 512);

AT(ipcs_entry, size, 0);
AT(ipcs_entry, created_ns, 8);
AT(ipcs_entry, modified_ns, 16);
AT(ipcs_entry, reserved, 24);
AT(ipcs_entry, name_size, 32);
AT(ipcs_entry, name, 36);
AT(ipcs_entry, flags, 196);  // was reserved before 1.2: 0
SIZE(ipcs_entry, 200);

AT(ipcs_call, struct_size, 0);
AT(ipcs_call, reserved, 4);
AT(ipcs_call, deadline_ns, 8);
AT(ipcs_call, trace_id, 16);
AT(ipcs_call, span_id, 32);
AT(ipcs_call, host_data, 40);
AT(ipcs_call, cancelled, 48);
AT(ipcs_call, cancel_fd, 56);
SIZE(ipcs_call, 64);

AT(ipcs_host, struct_size, 0);
AT(ipcs_host, abi_major, 4);
AT(ipcs_host, abi_minor, 6);
AT(ipcs_host, name, 8);
AT(ipcs_host, version, 16);
AT(ipcs_host, scratch_dir, 24);
AT(ipcs_host, host_data, 32);
AT(ipcs_host, log, 40);
AT(ipcs_host, metric, 48);
AT(ipcs_host, progress, 56);
AT(ipcs_host, extension, 64);
SIZE(ipcs_host, 72);

AT(ipcs_store_info, struct_size, 0);
AT(ipcs_store_info, flags, 4);
AT(ipcs_store_info, id, 8);
AT(ipcs_store_info, location, 72);
AT(ipcs_store_info, used_bytes, 328);
AT(ipcs_store_info, free_bytes, 336);
AT(ipcs_store_info, quota_bytes, 344);
SIZE(ipcs_store_info, 352);

AT(ipcs_store_ops, struct_size, 0);
AT(ipcs_store_ops, reserved, 4);
AT(ipcs_store_ops, close, 8);
AT(ipcs_store_ops, info, 16);
AT(ipcs_store_ops, stat_blob, 24);
AT(ipcs_store_ops, open_blob, 32);
AT(ipcs_store_ops, list_blobs, 40);
AT(ipcs_store_ops, remove_blob, 48);
AT(ipcs_store_ops, open_ingest, 56);
AT(ipcs_store_ops, list_ingests, 64);
AT(ipcs_store_ops, discard_ingest, 72);
AT(ipcs_store_ops, extension, 80);
AT(ipcs_store_ops, quarantine_blob, 88);  // since 1.1
SIZE(ipcs_store_ops, 96);

AT(ipcs_reader_ops, struct_size, 0);
AT(ipcs_reader_ops, reserved, 4);
AT(ipcs_reader_ops, close, 8);
AT(ipcs_reader_ops, size, 16);
AT(ipcs_reader_ops, read_at, 24);
AT(ipcs_reader_ops, read_cached, 32);  // since 1.1
SIZE(ipcs_reader_ops, 40);

AT(ipcs_ingest_ops, struct_size, 0);
AT(ipcs_ingest_ops, reserved, 4);
AT(ipcs_ingest_ops, close, 8);
AT(ipcs_ingest_ops, size, 16);
AT(ipcs_ingest_ops, read_at, 24);
AT(ipcs_ingest_ops, append, 32);
AT(ipcs_ingest_ops, truncate, 40);
AT(ipcs_ingest_ops, commit, 48);
SIZE(ipcs_ingest_ops, 56);

AT(ipcs_cursor_ops, struct_size, 0);
AT(ipcs_cursor_ops, reserved, 4);
AT(ipcs_cursor_ops, close, 8);
AT(ipcs_cursor_ops, next, 16);
SIZE(ipcs_cursor_ops, 24);

AT(ipcs_plugin, magic, 0);
AT(ipcs_plugin, struct_size, 8);
AT(ipcs_plugin, abi_major, 12);
AT(ipcs_plugin, abi_minor, 14);
AT(ipcs_plugin, name, 16);
AT(ipcs_plugin, version, 24);
AT(ipcs_plugin, description, 32);
AT(ipcs_plugin, build, 40);
AT(ipcs_plugin, validate, 48);
AT(ipcs_plugin, open, 56);
AT(ipcs_plugin, store, 64);
AT(ipcs_plugin, reader, 72);
AT(ipcs_plugin, ingest, 80);
AT(ipcs_plugin, cursor, 88);
SIZE(ipcs_plugin, 96);

AT(ipcs_cid, size, 0);
AT(ipcs_cid, text, 4);
SIZE(ipcs_cid, 164);

AT(ipcs_locate_ops, struct_size, 0);
AT(ipcs_locate_ops, cid_of, 8);
AT(ipcs_locate_ops, look_up, 16);
SIZE(ipcs_locate_ops, 24);

AT(ipcs_block, size, 0);
AT(ipcs_block, offset, 8);
AT(ipcs_block, length, 16);
AT(ipcs_block, flags, 24);
AT(ipcs_block, cid, 28);
SIZE(ipcs_block, 192);

AT(ipcs_blocks_ops, struct_size, 0);
AT(ipcs_blocks_ops, open, 8);
AT(ipcs_blocks_ops, next, 16);
AT(ipcs_blocks_ops, close, 24);
SIZE(ipcs_blocks_ops, 32);

AT(ipcs_adopted, struct_size, 0);
AT(ipcs_adopted, size, 8);
AT(ipcs_adopted, blocks, 16);
AT(ipcs_adopted, block_bytes, 24);
AT(ipcs_adopted, digest, 32);
AT(ipcs_adopted, cid, 192);
SIZE(ipcs_adopted, 360);

AT(ipcs_adopt_ops, struct_size, 0);
AT(ipcs_adopt_ops, adopt_blob, 8);
AT(ipcs_adopt_ops, adopt_cid, 16);
SIZE(ipcs_adopt_ops, 24);

AT(ipcs_car_ops, struct_size, 0);
AT(ipcs_car_ops, open_export, 8);
AT(ipcs_car_ops, read, 16);
AT(ipcs_car_ops, close_export, 24);
AT(ipcs_car_ops, open_import, 32);
AT(ipcs_car_ops, append, 40);
AT(ipcs_car_ops, finish, 48);
AT(ipcs_car_ops, close_import, 56);
SIZE(ipcs_car_ops, 64);

AT(ipcs_prefetch_ops, struct_size, 0);
AT(ipcs_prefetch_ops, prefetch, 8);
SIZE(ipcs_prefetch_ops, 16);

AT(ipcs_difference, kind, 0);
AT(ipcs_difference, flags, 4);
AT(ipcs_difference, name, 8);
AT(ipcs_difference, detail, 168);
SIZE(ipcs_difference, 672);

AT(ipcs_repair_progress, done_blobs, 0);
AT(ipcs_repair_progress, total_blobs, 8);
AT(ipcs_repair_progress, done_bytes, 16);
AT(ipcs_repair_progress, total_bytes, 24);
AT(ipcs_repair_progress, current, 32);
SIZE(ipcs_repair_progress, 192);

AT(ipcs_repair_sink, struct_size, 0);
AT(ipcs_repair_sink, context, 8);
AT(ipcs_repair_sink, found, 16);
AT(ipcs_repair_sink, progress, 24);
SIZE(ipcs_repair_sink, 32);

AT(ipcs_repaired, struct_size, 0);
AT(ipcs_repaired, blobs, 8);
AT(ipcs_repaired, bytes, 16);
AT(ipcs_repaired, claims, 24);
AT(ipcs_repaired, pending, 32);
SIZE(ipcs_repaired, 40);

AT(ipcs_repair_ops, struct_size, 0);
AT(ipcs_repair_ops, repair, 8);
SIZE(ipcs_repair_ops, 16);

static_assert(IPCS_REPAIR_DRY_RUN == 1);
static_assert(IPCS_DIFFERENCE_LEAKED == 1 && IPCS_DIFFERENCE_MISSING == 2 && IPCS_DIFFERENCE_DAMAGED == 3 && IPCS_DIFFERENCE_MENDED == 1);
static_assert(IPCS_ENTRY_ROOT_DIGEST == 1);
static_assert(IPCS_BLOCK_LEAF == 1 && IPCS_BLOCK_LOCAL == 2);

static_assert(IPCS_ABI_MAGIC == 0x0a31765343504900u);
static_assert(IPCS_ABI_MAJOR == 1);
static_assert(IPCS_MESSAGE_MAX == 504 && IPCS_NAME_MAX == 160 && IPCS_KEY_MAX == 64);
static_assert(IPCS_OK == 0 && IPCS_CANCELLED == 1 && IPCS_UNKNOWN == 2 && IPCS_INVALID_ARGUMENT == 3 &&
              IPCS_DEADLINE_EXCEEDED == 4 && IPCS_NOT_FOUND == 5 && IPCS_ALREADY_EXISTS == 6 &&
              IPCS_PERMISSION_DENIED == 7 && IPCS_RESOURCE_EXHAUSTED == 8 && IPCS_FAILED_PRECONDITION == 9 &&
              IPCS_ABORTED == 10 && IPCS_OUT_OF_RANGE == 11 && IPCS_UNIMPLEMENTED == 12 && IPCS_INTERNAL == 13 &&
              IPCS_UNAVAILABLE == 14 && IPCS_DATA_LOSS == 15 && IPCS_UNAUTHENTICATED == 16);
static_assert(IPCS_OPEN_READ_ONLY == 1 && IPCS_STORE_READ_ONLY == 1 && IPCS_STORE_FULL == 2 && IPCS_INGEST_CREATE == 1);

TEST_CASE("the magic reads \\0IPCSv1\\n as bytes") {
  const uint64_t magic = IPCS_ABI_MAGIC;
  CHECK(std::string(reinterpret_cast<const char*>(&magic), 8) == std::string("\0IPCSv1\n", 8));
  CHECK(std::string(IPCS_PLUGIN_SYMBOL) == "ipcs_content_store_v1");
}
