/* A plugin in C with one blob of five bytes and no ingests; built once with the header of ABI 1.0, once with tables
 * that are larger than this host knows. */
#undef IPCS_BUILD_PLUGIN /* the symbol is declared here, with a type of its own */
#ifdef TINY_OLD_HEADER
#include "content_store_v1_0.h"
#define TINY_NAME "old-header"
#define TINY_MINOR IPCS_ABI_MINOR
#else
#include "ipcs/content_store.h"
#define TINY_NAME "larger-tables"
#define TINY_MINOR (IPCS_ABI_MINOR + 7)
#endif

#include <stdlib.h>
#include <string.h>

#define TINY_DIGEST "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* of "hello" */

struct ipcs_store {
  int removed;
};

static int32_t fail(ipcs_status* status, ipcs_code code, const char* message) {
  status->code = code;
  status->message_size = (uint32_t)strlen(message);
  memcpy(status->message, message, status->message_size);
  return code;
}
static int has(const ipcs_store* store, ipcs_str digest) {
  return !store->removed && digest.size == strlen(TINY_DIGEST) && memcmp(digest.data, TINY_DIGEST, digest.size) == 0;
}
static void describe(ipcs_entry* out) {
  memset(out, 0, sizeof *out);
  out->size = 5;
  out->name_size = (uint32_t)strlen(TINY_DIGEST);
  memcpy(out->name, TINY_DIGEST, out->name_size);
}

static void close_store(ipcs_store* store) {
  free(store);
}
static int32_t info(ipcs_store* store, const ipcs_call* call, ipcs_store_info* out, ipcs_status* status) {
  (void)call, (void)status;
  out->flags = 0;
  strcpy(out->id, TINY_NAME);
  strcpy(out->location, "nowhere");
  out->used_bytes = store->removed ? 0 : 5;
  out->free_bytes = out->quota_bytes = 0;
  return IPCS_OK;
}
static int32_t stat_blob(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_entry* out,
                         ipcs_status* status) {
  (void)call;
  if (!has(store, digest)) return fail(status, IPCS_NOT_FOUND, "no such blob");
  describe(out);
  return IPCS_OK;
}
static int32_t open_blob(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_reader** out,
                         ipcs_status* status) {
  (void)call;
  if (!has(store, digest)) return fail(status, IPCS_NOT_FOUND, "no such blob");
  *out = (ipcs_reader*)store; /* any handle will do: all readers are alike */
  return IPCS_OK;
}
static int32_t list_blobs(ipcs_store* store, const ipcs_call* call, ipcs_cursor** out, ipcs_status* status) {
  (void)call, (void)status;
  int* left = malloc(sizeof *left);
  *left = !store->removed;
  *out = (ipcs_cursor*)left;
  return IPCS_OK;
}
static int32_t remove_blob(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_status* status) {
  (void)call;
  if (!has(store, digest)) return fail(status, IPCS_NOT_FOUND, "no such blob");
  store->removed = 1;
  return IPCS_OK;
}
static int32_t open_ingest(ipcs_store* store, const ipcs_call* call, ipcs_str key, uint32_t flags,
                           uint64_t expected_size, ipcs_ingest** out, ipcs_status* status) {
  (void)store, (void)call, (void)key, (void)flags, (void)expected_size, (void)out;
  return fail(status, IPCS_UNIMPLEMENTED, "this store takes no blobs");
}
static int32_t list_ingests(ipcs_store* store, const ipcs_call* call, ipcs_cursor** out, ipcs_status* status) {
  (void)store, (void)call, (void)status;
  *out = calloc(1, sizeof(int));
  return IPCS_OK;
}
static int32_t discard_ingest(ipcs_store* store, const ipcs_call* call, ipcs_str key, ipcs_status* status) {
  (void)store, (void)call, (void)key;
  return fail(status, IPCS_NOT_FOUND, "no such ingest");
}
static const void* extension(ipcs_store* store, const char* id) {
  (void)store, (void)id;
  return NULL;
}

static void close_reader(ipcs_reader* reader) {
  (void)reader;
}
static uint64_t reader_size(ipcs_reader* reader) {
  (void)reader;
  return 5;
}
static int32_t read_at(ipcs_reader* reader, const ipcs_call* call, uint64_t offset, ipcs_span out, size_t* count,
                       ipcs_status* status) {
  (void)reader, (void)call, (void)status;
  *count = offset >= 5 ? 0 : out.size < 5 - offset ? out.size : 5 - (size_t)offset;
  if (*count != 0) memcpy(out.data, &"hello"[offset], *count);
  return IPCS_OK;
}
static void close_cursor(ipcs_cursor* cursor) {
  free(cursor);
}
static int32_t next(ipcs_cursor* cursor, const ipcs_call* call, ipcs_entry* out, size_t capacity, size_t* count,
                    ipcs_status* status) {
  (void)call, (void)status;
  int* left = (int*)cursor;
  *count = *left && capacity > 0;
  if (*count) describe(out);
  *left = 0;
  return IPCS_OK;
}

static int32_t validate(const ipcs_host* host, ipcs_str config, ipcs_status* status) {
  (void)host;
  return config.size == 2 ? IPCS_OK : fail(status, IPCS_INVALID_ARGUMENT, "this store knows no keys");
}
static int32_t open_store(const ipcs_host* host, const ipcs_call* call, ipcs_str config, uint32_t flags,
                          ipcs_store** out, ipcs_status* status) {
  (void)host, (void)call, (void)config, (void)flags, (void)status;
  *out = calloc(1, sizeof(ipcs_store));
  return IPCS_OK;
}

/* No ingest is ever opened, but tables have no holes. */
static void close_ingest(ipcs_ingest* ingest) {
  (void)ingest;
}
static int32_t ingest_size(ipcs_ingest* ingest, uint64_t* out, ipcs_status* status) {
  (void)ingest, (void)out;
  return fail(status, IPCS_INTERNAL, "no ingest is open");
}
static int32_t ingest_read_at(ipcs_ingest* ingest, const ipcs_call* call, uint64_t offset, ipcs_span out, size_t* count,
                              ipcs_status* status) {
  (void)ingest, (void)call, (void)offset, (void)out, (void)count;
  return fail(status, IPCS_INTERNAL, "no ingest is open");
}
static int32_t append(ipcs_ingest* ingest, const ipcs_call* call, ipcs_bytes bytes, ipcs_status* status) {
  (void)ingest, (void)call, (void)bytes;
  return fail(status, IPCS_INTERNAL, "no ingest is open");
}
static int32_t truncate_ingest(ipcs_ingest* ingest, const ipcs_call* call, uint64_t size, ipcs_status* status) {
  (void)ingest, (void)call, (void)size;
  return fail(status, IPCS_INTERNAL, "no ingest is open");
}
static int32_t commit(ipcs_ingest* ingest, const ipcs_call* call, uint64_t size, ipcs_str digest,
                      ipcs_str content_digest, ipcs_status* status) {
  (void)ingest, (void)call, (void)size, (void)digest, (void)content_digest;
  return fail(status, IPCS_INTERNAL, "no ingest is open");
}

#ifdef TINY_OLD_HEADER
typedef ipcs_store_ops store_table;
typedef ipcs_reader_ops reader_table;
typedef ipcs_ingest_ops ingest_table;
typedef ipcs_cursor_ops cursor_table;
typedef ipcs_plugin plugin_table;
#define KNOWN
#define FUTURE
#else
/* Tables of a later version: members behind those that this host knows, which it must neither need nor call. */
static void future(void) {
  abort();
}
typedef struct {
  ipcs_store_ops known;
  void (*later[3])(void);
} store_table;
typedef struct {
  ipcs_reader_ops known;
  void (*later[3])(void);
} reader_table;
typedef struct {
  ipcs_ingest_ops known;
  void (*later[3])(void);
} ingest_table;
typedef struct {
  ipcs_cursor_ops known;
  void (*later[3])(void);
} cursor_table;
typedef struct {
  ipcs_plugin known;
  void (*later[3])(void);
} plugin_table;
#define KNOWN .known
#define FUTURE , .later = {future, future, future}
#endif

static const store_table store_ops = {KNOWN.struct_size = sizeof(store_table),
                                      KNOWN.close = close_store,
                                      KNOWN.info = info,
                                      KNOWN.stat_blob = stat_blob,
                                      KNOWN.open_blob = open_blob,
                                      KNOWN.list_blobs = list_blobs,
                                      KNOWN.remove_blob = remove_blob,
                                      KNOWN.open_ingest = open_ingest,
                                      KNOWN.list_ingests = list_ingests,
                                      KNOWN.discard_ingest = discard_ingest,
                                      KNOWN.extension = extension FUTURE};
static const reader_table reader_ops = {KNOWN.struct_size = sizeof(reader_table), KNOWN.close = close_reader,
                                        KNOWN.size = reader_size, KNOWN.read_at = read_at FUTURE};
static const ingest_table ingest_ops = {KNOWN.struct_size = sizeof(ingest_table),
                                        KNOWN.close = close_ingest,
                                        KNOWN.size = ingest_size,
                                        KNOWN.read_at = ingest_read_at,
                                        KNOWN.append = append,
                                        KNOWN.truncate = truncate_ingest,
                                        KNOWN.commit = commit FUTURE};
static const cursor_table cursor_ops = {KNOWN.struct_size = sizeof(cursor_table), KNOWN.close = close_cursor,
                                        KNOWN.next = next FUTURE};

extern __attribute__((visibility("default"))) const plugin_table ipcs_content_store_v1;
const plugin_table ipcs_content_store_v1 = {KNOWN.magic = IPCS_ABI_MAGIC,
                                            KNOWN.struct_size = sizeof(plugin_table),
                                            KNOWN.abi_major = IPCS_ABI_MAJOR,
                                            KNOWN.abi_minor = TINY_MINOR,
                                            KNOWN.name = TINY_NAME,
                                            KNOWN.version = "1.0",
                                            KNOWN.description = "one blob",
                                            KNOWN.build = __VERSION__ ", C",
                                            KNOWN.validate = validate,
                                            KNOWN.open = open_store,
                                            KNOWN.store = (const ipcs_store_ops*)&store_ops,
                                            KNOWN.reader = (const ipcs_reader_ops*)&reader_ops,
                                            KNOWN.ingest = (const ipcs_ingest_ops*)&ingest_ops,
                                            KNOWN.cursor = (const ipcs_cursor_ops*)&cursor_ops FUTURE};
