/* The ContentStore ABI, version 1: the C border between a host (ipcsd) and a storage plugin. */
#ifndef IPCS_CONTENT_STORE_H
#define IPCS_CONTENT_STORE_H

/*
 * A plugin is a shared object that exports one data symbol, `ipcs_content_store_v1`, of type
 * ipcs_plugin. Everything else is reached from there. C++ authors derive from the classes of
 * plugin.hpp instead of filling these tables by hand.
 *
 * Rationale: C tables and plain structs, so that a plugin built by another compiler, another
 * standard library or another language loads; no exception, std type or virtual table crosses.
 *
 * What a plugin does: it keeps bytes under digests, and bytes that are still arriving under keys
 * that the host chose. What it never sees: labels, refs, leases, namespaces, pins, garbage
 * collection. Those are the host's.
 *
 * Growth
 *   - The major version is part of the symbol's name. Within a major version tables and structs
 *     only grow at their end. Every one that can grow begins with its size in bytes, written by
 *     the side that provides it: a reader uses only members that lie within that size.
 *   - Structs without a size (ipcs_str, ipcs_status, ipcs_entry) never change within version 1.
 *   - Optional features are extensions, asked for by name ("ipcs.blocks/1").
 *
 * Threads
 *   [thread-safe]  may run on any number of host threads at once, also for the same object
 *   [exclusive]    never runs at the same time as another [exclusive] call for the same object;
 *                  successive calls may come from different threads
 *
 * Calls may block. The host brings the threads; a plugin that has threads of its own joins all
 * of them in close().
 *
 * Errors
 *   A function that takes an ipcs_status returns an ipcs_code and, unless that is IPCS_OK, has
 *   filled in the status with the same code and a message. A message names the thing it is about
 *   and fits one line. On IPCS_OK the status is left untouched. Output arguments are valid only
 *   after IPCS_OK unless the function says otherwise.
 *
 * Strings are UTF-8, not NUL-terminated unless they are `const char*`, and belong to the caller;
 * a callee that needs one after it has returned copies it.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IPCS_ABI_MAGIC UINT64_C(0x0a31765343504900) /* "\0IPCSv1\n" read as little endian */
#define IPCS_ABI_MAJOR 1
#define IPCS_ABI_MINOR 2 /* 1: ipcs_store_ops.quarantine_blob, ipcs_reader_ops.read_cached; 2: ipcs_entry.flags */
#define IPCS_PLUGIN_SYMBOL "ipcs_content_store_v1"

#define IPCS_MESSAGE_MAX 504 /* bytes of a status message */
#define IPCS_NAME_MAX 160    /* bytes of a digest or an ingest key */
#define IPCS_KEY_MAX 64      /* bytes of an ingest key */

/* Result codes; the numbers are gRPC's (google.rpc.Code). */
typedef enum ipcs_code {
  IPCS_OK = 0,
  IPCS_CANCELLED = 1,
  IPCS_UNKNOWN = 2,
  IPCS_INVALID_ARGUMENT = 3,
  IPCS_DEADLINE_EXCEEDED = 4,
  IPCS_NOT_FOUND = 5,
  IPCS_ALREADY_EXISTS = 6,
  IPCS_PERMISSION_DENIED = 7,
  IPCS_RESOURCE_EXHAUSTED = 8,
  IPCS_FAILED_PRECONDITION = 9,
  IPCS_ABORTED = 10,
  IPCS_OUT_OF_RANGE = 11,
  IPCS_UNIMPLEMENTED = 12,
  IPCS_INTERNAL = 13,
  IPCS_UNAVAILABLE = 14,
  IPCS_DATA_LOSS = 15,
  IPCS_UNAUTHENTICATED = 16
} ipcs_code;

/* Text: `size` bytes at `data`; data may be NULL when size is 0. */
typedef struct ipcs_str {
  const char* data;
  size_t size;
} ipcs_str;

/* Bytes to read from. */
typedef struct ipcs_bytes {
  const uint8_t* data;
  size_t size;
} ipcs_bytes;

/* Memory to fill, owned by the caller. */
typedef struct ipcs_span {
  uint8_t* data;
  size_t size;
} ipcs_span;

/* An error's code and text, in the caller's memory. The caller need not clear it. */
typedef struct ipcs_status {
  int32_t code;          /* ipcs_code */
  uint32_t message_size; /* bytes used of message, at most IPCS_MESSAGE_MAX */
  char message[IPCS_MESSAGE_MAX];
} ipcs_status;

enum { /* ipcs_entry.flags, of a blob */
  /* The digest is that of the root of a DAG over the bytes, not of the bytes themselves. The backend checks the bytes
   * against it whenever it reads them. */
  IPCS_ENTRY_ROOT_DIGEST = 1u << 0
};

/* A blob or an ingest, as stat and cursors report it. */
typedef struct ipcs_entry {
  uint64_t size;       /* bytes stored */
  int64_t created_ns;  /* nanoseconds since 1970 UTC; 0 when not known */
  int64_t modified_ns; /* likewise; last append of an ingest, commit of a blob */
  uint64_t reserved;   /* 0 */
  uint32_t name_size;  /* bytes used of name */
  char name[IPCS_NAME_MAX]; /* digest ("sha256:<64 hex>") of a blob, key of an ingest */
  uint32_t flags;      /* IPCS_ENTRY_*; 0 before 1.2 */
} ipcs_entry;

/* ---- what the host hands over ------------------------------------------------------------- */

/*
 * The circumstances of one call. Valid until the call returns.
 */
typedef struct ipcs_call {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t deadline_ns;  /* CLOCK_MONOTONIC nanoseconds; INT64_MAX: none */
  uint8_t trace_id[16]; /* W3C trace context; all zero when there is none */
  uint8_t span_id[8];
  void* host_data;
  /* Not zero once the caller has gone or the host is stopping. A call that may take longer than
   * some milliseconds asks from time to time and then returns IPCS_CANCELLED. [thread-safe] */
  int32_t (*cancelled)(const struct ipcs_call* call);
  /* A descriptor that becomes readable when the call is cancelled, for poll(). Made on first use,
   * owned by the host, closed after the call. -1 when none can be made. [thread-safe] */
  int32_t (*cancel_fd)(const struct ipcs_call* call);
} ipcs_call;

typedef enum ipcs_log_level {
  IPCS_LOG_DEBUG = 0,
  IPCS_LOG_INFO = 1,
  IPCS_LOG_WARN = 2,
  IPCS_LOG_ERROR = 3
} ipcs_log_level;

typedef enum ipcs_metric_kind {
  IPCS_METRIC_COUNTER = 0, /* value is added; never negative */
  IPCS_METRIC_GAUGE = 1    /* value is set */
} ipcs_metric_kind;

/*
 * The host's services for a plugin. Valid from validate()/open() until close() has returned.
 * Every function is [thread-safe], may be called from the plugin's own threads, and neither blocks
 * for long nor calls back into the plugin.
 */
typedef struct ipcs_host {
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  const char* name;    /* "ipcsd" */
  const char* version; /* of the host */
  /* A directory of the plugin's own for temporary files, emptied by the host before open(). NULL in
   * validate(). */
  const char* scratch_dir;
  void* host_data;
  /* One line of log; `call` may be NULL, otherwise its trace id is logged too. */
  void (*log)(const struct ipcs_host* host, const ipcs_call* call, int32_t level, ipcs_str message);
  /* Counts or sets the metric ipcs_plugin_<name>; `name` is [a-z0-9_]{1,64}. */
  void (*metric)(const struct ipcs_host* host, ipcs_str name, int32_t kind, double value);
  /* Progress of a long call: `done` of `total` bytes of `subject` (total 0: not known). */
  void (*progress)(const struct ipcs_host* host, const ipcs_call* call, ipcs_str subject,
                   uint64_t done, uint64_t total);
  /* A service of the host by name, or NULL. */
  const void* (*extension)(const struct ipcs_host* host, const char* id);
} ipcs_host;

/* ---- what the plugin provides ------------------------------------------------------------- */

typedef struct ipcs_store ipcs_store;   /* an opened backend */
typedef struct ipcs_reader ipcs_reader; /* an opened blob */
typedef struct ipcs_ingest ipcs_ingest; /* bytes that are still arriving */
typedef struct ipcs_cursor ipcs_cursor; /* a listing under way */

enum { /* ipcs_plugin.open flags */
  IPCS_OPEN_READ_ONLY = 1u << 0 /* nothing below may change the store; it must exist already */
};

enum { /* ipcs_store_info.flags */
  IPCS_STORE_READ_ONLY = 1u << 0,
  IPCS_STORE_FULL = 1u << 1, /* new ingests are refused with IPCS_RESOURCE_EXHAUSTED */
  IPCS_STORE_LOCAL = 1u << 2 /* open_blob and read_at wait for a local disk at most, never for a network */
};

/* What a store says of itself. The host sets struct_size; the plugin writes only what lies within. */
typedef struct ipcs_store_info {
  uint32_t struct_size;
  uint32_t flags;
  char id[64];         /* NUL-terminated; the same for as long as the store lives, unlike any other's */
  char location[256];  /* NUL-terminated; where the bytes lie, for people */
  uint64_t used_bytes; /* by blobs and ingests */
  uint64_t free_bytes; /* that can still be stored */
  uint64_t quota_bytes; /* configured limit; 0: none */
} ipcs_store_info;

enum { /* ipcs_store_ops.open_ingest flags */
  IPCS_INGEST_CREATE = 1u << 0 /* make it when there is none */
};

/*
 * Functions of an opened store. `digest` is "<algorithm>:<lower-case hex>", checked by the host:
 * sha256, sha384 or sha512 with the right number of digits. `key` is 1 to IPCS_KEY_MAX bytes of
 * [a-z0-9-], chosen by the host, and means nothing to the plugin.
 */
typedef struct ipcs_store_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Ends the store: joins threads, frees memory, closes files. All readers, ingests and cursors have
   * been closed before. What was committed stays, and so do ingests. [exclusive] */
  void (*close)(ipcs_store* store);

  /* Describes the store. Answers from local state, without waiting. [thread-safe] */
  int32_t (*info)(ipcs_store* store, const ipcs_call* call, ipcs_store_info* out, ipcs_status* status);

  /* Size and times of a blob. Answers from local state. NOT_FOUND: there is none. [thread-safe] */
  int32_t (*stat_blob)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_entry* out,
                       ipcs_status* status);

  /* Opens a blob for reading. The reader goes on giving the blob's bytes after remove_blob.
   * NOT_FOUND: there is none. DATA_LOSS: it is there but damaged. [thread-safe] */
  int32_t (*open_blob)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_reader** out,
                       ipcs_status* status);

  /* Starts a listing of all blobs, in no order. A blob that is there during the whole listing is
   * reported exactly once; one that comes or goes meanwhile, at most once. [thread-safe] */
  int32_t (*list_blobs)(ipcs_store* store, const ipcs_call* call, ipcs_cursor** out, ipcs_status* status);

  /* Removes a blob; afterwards stat_blob says NOT_FOUND. NOT_FOUND: there is none. [thread-safe] */
  int32_t (*remove_blob)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_status* status);

  /* Opens an ingest. The host has a key open at most once at a time. With IPCS_INGEST_CREATE one is made
   * when there is none; it is empty. `expected_size` is a hint in bytes, 0: not known. What was appended
   * before and acknowledged is still there, also after the process was killed.
   * NOT_FOUND: there is none and the flag is not set. RESOURCE_EXHAUSTED: the store is full. [thread-safe] */
  int32_t (*open_ingest)(ipcs_store* store, const ipcs_call* call, ipcs_str key, uint32_t flags,
                         uint64_t expected_size, ipcs_ingest** out, ipcs_status* status);

  /* Starts a listing of all ingests, in no order. [thread-safe] */
  int32_t (*list_ingests)(ipcs_store* store, const ipcs_call* call, ipcs_cursor** out, ipcs_status* status);

  /* Drops an ingest that is not open, with its bytes. NOT_FOUND: there is none. [thread-safe] */
  int32_t (*discard_ingest)(ipcs_store* store, const ipcs_call* call, ipcs_str key, ipcs_status* status);

  /* An optional feature by name, or NULL. The table lives as long as the store. [thread-safe] */
  const void* (*extension)(ipcs_store* store, const char* id);

  /* Since 1.1. Takes a damaged blob out of service but keeps its bytes for inspection, as far as the
   * backend can: afterwards stat_blob says NOT_FOUND and committing the right bytes under the digest
   * works. NOT_FOUND: there is none. Without this function the host calls remove_blob. [thread-safe] */
  int32_t (*quarantine_blob)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_status* status);
} ipcs_store_ops;

/* Functions of an opened blob. */
typedef struct ipcs_reader_ops {
  uint32_t struct_size;
  uint32_t reserved;
  void (*close)(ipcs_reader* reader); /* [exclusive] */
  uint64_t (*size)(ipcs_reader* reader); /* the blob's size in bytes [thread-safe] */
  /* Fills `out` from the blob's byte `offset` on; `*count` is what was read, less than out.size only where
   * the blob ends, 0 at or behind its end. DATA_LOSS: bytes are missing or proved wrong. [thread-safe] */
  int32_t (*read_at)(ipcs_reader* reader, const ipcs_call* call, uint64_t offset, ipcs_span out,
                     size_t* count, ipcs_status* status);

  /* Since 1.1. As read_at, of bytes that are at hand in memory: never waits for a disk or a network. Returns how
   * many it wrote to `out`, which may be less than there are; 0: none, ask read_at. The host serves a read on the
   * thread that took it when this gives all of it. [thread-safe] */
  size_t (*read_cached)(ipcs_reader* reader, uint64_t offset, ipcs_span out);
} ipcs_reader_ops;

/* Functions of an opened ingest. */
typedef struct ipcs_ingest_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Ends the handle; the ingest and its bytes stay unless commit has succeeded. [exclusive] */
  void (*close)(ipcs_ingest* ingest);

  /* Bytes held. [exclusive] */
  int32_t (*size)(ipcs_ingest* ingest, uint64_t* out, ipcs_status* status);

  /* As ipcs_reader_ops.read_at, of the bytes held; used to hash again on resume. [exclusive] */
  int32_t (*read_at)(ipcs_ingest* ingest, const ipcs_call* call, uint64_t offset, ipcs_span out,
                     size_t* count, ipcs_status* status);

  /* Adds bytes at the end. After IPCS_OK they survive a kill of the process (not a power loss). After an
   * error any prefix of them may have been added; size() tells. RESOURCE_EXHAUSTED: no room. [exclusive] */
  int32_t (*append)(ipcs_ingest* ingest, const ipcs_call* call, ipcs_bytes bytes, ipcs_status* status);

  /* Keeps the first `size` bytes, size <= the bytes held. [exclusive] */
  int32_t (*truncate)(ipcs_ingest* ingest, const ipcs_call* call, uint64_t size, ipcs_status* status);

  /* Makes the bytes the blob `digest`. After IPCS_OK the blob is visible and survives a power loss, and
   * the ingest is gone. `size` is what the host counted and must equal size(). `content_digest` is what
   * the host computed over the bytes; where it differs from `digest`, the backend accepts only if it can
   * prove that `digest` names these bytes too.
   * A digest that is stored already has one reading for good: where the bytes themselves hash to it, that one.
   * ALREADY_EXISTS: the blob is there; the ingest is gone. FAILED_PRECONDITION: size or digest is wrong;
   * the ingest stays. Other errors: the ingest stays, and commit may be tried again. Whatever the result,
   * only close() and, after an error that keeps the ingest, the other functions may follow. [exclusive] */
  int32_t (*commit)(ipcs_ingest* ingest, const ipcs_call* call, uint64_t size, ipcs_str digest,
                    ipcs_str content_digest, ipcs_status* status);
} ipcs_ingest_ops;

/* Functions of a listing. */
typedef struct ipcs_cursor_ops {
  uint32_t struct_size;
  uint32_t reserved;
  void (*close)(ipcs_cursor* cursor); /* [exclusive] */
  /* Writes up to `capacity` entries to `out`; `*count` is how many. 0: the listing is over. [exclusive] */
  int32_t (*next)(ipcs_cursor* cursor, const ipcs_call* call, ipcs_entry* out, size_t capacity,
                  size_t* count, ipcs_status* status);
} ipcs_cursor_ops;

/*
 * The exported symbol. The host reads it from the file before any code of the plugin has run, so it is
 * constant data: strings and tables are static.
 */
typedef struct ipcs_plugin {
  uint64_t magic;       /* IPCS_ABI_MAGIC */
  uint32_t struct_size; /* sizeof(ipcs_plugin) */
  uint16_t abi_major;   /* IPCS_ABI_MAJOR */
  uint16_t abi_minor;   /* the IPCS_ABI_MINOR that the plugin was built with */
  const char* name;     /* what `backend = "…"` selects: [a-z][a-z0-9-]{0,31} */
  const char* version;
  const char* description; /* one line */
  const char* build;       /* compiler and standard library, for bug reports */

  /* Checks a configuration, the plugin's own subtree as a JSON object, without side effects: no file is
   * written, no connection made. INVALID_ARGUMENT: what is wrong; an unknown key is named. [thread-safe] */
  int32_t (*validate)(const ipcs_host* host, ipcs_str config_json, ipcs_status* status);

  /* Opens the store. `config_json` has passed validate(). `flags`: IPCS_OPEN_*. `host` outlives the store.
   * Keeps to call's deadline. A process may open more stores, with other configurations. [thread-safe] */
  int32_t (*open)(const ipcs_host* host, const ipcs_call* call, ipcs_str config_json, uint32_t flags,
                  ipcs_store** out, ipcs_status* status);

  const ipcs_store_ops* store;
  const ipcs_reader_ops* reader;
  const ipcs_ingest_ops* ingest;
  const ipcs_cursor_ops* cursor;
} ipcs_plugin;

/* Define it in exactly one translation unit; plugin.hpp's IPCS_PLUGIN does. */
#if defined(IPCS_BUILD_PLUGIN)
extern __attribute__((visibility("default"))) const ipcs_plugin ipcs_content_store_v1;
#endif

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
