/* Optional features of a storage plugin, version 1 of each: what a backend can do whose blobs are DAGs of blocks. */
#ifndef IPCS_EXTENSIONS_H
#define IPCS_EXTENSIONS_H

/*
 * ipcs_store_ops.extension(store, id) gives the table of a feature, or NULL. A table belongs to the store and is
 * valid as long as it. What content_store.h says of growth, threads, errors and strings holds here too.
 *
 * Vocabulary
 *   CID      names a block by the hash of its bytes; text, as `ipfs` prints it (CIDv0 or CIDv1)
 *   root     the block from which all others of a blob are reached by links
 *   OCI digest   the hash of a blob's bytes, as registries use it
 *   p2p digest   "sha256:" and the SHA-256 of a blob's root block: it names the same bytes, each block of which can
 *                be checked by itself. A blob may be stored under digests of both kinds at once.
 */

#include "ipcs/content_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define IPCS_LOCATE_V1 "ipcs.locate/1"
#define IPCS_BLOCKS_V1 "ipcs.blocks/1"
#define IPCS_ADOPT_V1 "ipcs.adopt/1"
#define IPCS_CAR_V1 "ipcs.car/1"
#define IPCS_PREFETCH_V1 "ipcs.prefetch/1"
#define IPCS_REPAIR_V1 "ipcs.repair/1"

/* A CID's text. Never changes within version 1. */
typedef struct ipcs_cid {
  uint32_t size; /* bytes used of text */
  char text[IPCS_NAME_MAX];
} ipcs_cid;

/* ---- ipcs.locate/1: where a blob is on the network ---------------------------------------- */

typedef struct ipcs_locate_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* The CID of a stored blob's root. Answers from local state. NOT_FOUND: there is no such blob. [thread-safe] */
  int32_t (*cid_of)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_cid* out, ipcs_status* status);

  /* Looks for a blob that stat_blob does not know. May wait for a network, at most until the call's deadline.
   * IPCS_OK is a promise: for a p2p digest the root has been fetched and verified and somebody has the rest; for an
   * OCI digest the bytes are local and verified, or the claim comes from a peer that the operator trusts. From then
   * on stat_blob knows the blob. Several calls for one digest at a time are one search.
   * NOT_FOUND: nobody has it, as far as could be told. DEADLINE_EXCEEDED: nobody answered in time. [thread-safe] */
  int32_t (*look_up)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_entry* out,
                     ipcs_status* status);
} ipcs_locate_ops;

/* ---- ipcs.blocks/1: what a blob is made of ------------------------------------------------ */

enum { /* ipcs_block.flags */
  IPCS_BLOCK_LEAF = 1u << 0, /* it has no links */
  IPCS_BLOCK_LOCAL = 1u << 1 /* it can be read without a network */
};

/* A block of a blob. Never changes within version 1. */
typedef struct ipcs_block {
  uint64_t size;   /* of the block itself, bytes */
  uint64_t offset; /* in the blob, of the first byte that is below the block */
  uint64_t length; /* bytes of the blob that are below the block */
  uint32_t flags;  /* IPCS_BLOCK_* */
  ipcs_cid cid;
} ipcs_block;

typedef struct ipcs_block_cursor ipcs_block_cursor; /* a walk under way */

typedef struct ipcs_blocks_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Starts a walk over a blob's DAG in the order of its bytes, parents before children; a block that is linked from
   * several places is told at each. Inner blocks that are not local are fetched and verified, leaves are not.
   * NOT_FOUND: there is no such blob. [thread-safe] */
  int32_t (*open)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_block_cursor** out,
                  ipcs_status* status);
  /* Writes up to `capacity` blocks to `out`; `*count` is how many. 0: the walk is over. [exclusive] */
  int32_t (*next)(ipcs_block_cursor* cursor, const ipcs_call* call, ipcs_block* out, size_t capacity, size_t* count,
                  ipcs_status* status);
  void (*close)(ipcs_block_cursor* cursor); /* [exclusive] */
} ipcs_blocks_ops;

/* ---- ipcs.adopt/1: more digests for bytes that are there ---------------------------------- */

/* What was made known. The host sets struct_size; the plugin writes only what lies within. */
typedef struct ipcs_adopted {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t size;        /* of the blob, bytes */
  uint64_t blocks;      /* of its DAG, each counted once; 0: not known */
  uint64_t block_bytes; /* their sum; 0: not known */
  char digest[IPCS_NAME_MAX]; /* NUL-terminated; under which it is stored now */
  ipcs_cid cid;         /* of its root */
} ipcs_adopted;

typedef struct ipcs_adopt_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Builds a DAG over a stored blob and stores the blob under that DAG's p2p digest too. `chunker` is "size-<bytes>",
   * "fastcdc-<min>-<avg>-<max>", "tar" (at a tar's own boundaries), "zstd-frames" (a leaf is a frame) or empty for the
   * profile's; `profile` names the layout: "default" (CIDv0, 262,144-byte chunks, 174 links) or empty for it,
   * "cid-version-1" (raw leaves), "unixfs-v1-2025". A one-chunk blob with raw leaves has its OCI digest as p2p digest.
   * Told by ipcs_host.progress. NOT_FOUND: no such blob. INVALID_ARGUMENT: chunker, profile, another kind of blob. [thread-safe] */
  int32_t (*adopt_blob)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, ipcs_str chunker,
                        ipcs_str profile, ipcs_adopted* out, ipcs_status* status);

  /* Makes the file whose root is `cid` known under `digest`, or under its p2p digest where that is empty. A p2p
   * digest asks for the root alone, an OCI digest for all bytes, which are hashed. May wait for a network.
   * `expected_size` in bytes, 0: not known; another size is refused. Told by ipcs_host.progress.
   * NOT_FOUND: the block could not be had. FAILED_PRECONDITION: digest or size is another. INVALID_ARGUMENT: no CID,
   * or the root is not a file's. [thread-safe] */
  int32_t (*adopt_cid)(ipcs_store* store, const ipcs_call* call, ipcs_str cid, ipcs_str digest,
                       uint64_t expected_size, ipcs_adopted* out, ipcs_status* status);
} ipcs_adopt_ops;

/* ---- ipcs.car/1: whole DAGs as a stream (CARv1) ------------------------------------------- */

typedef struct ipcs_car_export ipcs_car_export;
typedef struct ipcs_car_import ipcs_car_import;

typedef struct ipcs_car_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Starts a CARv1 with these roots in this order and every block below them, each once, in depth-first order.
   * Blocks are verified; those that are not local are fetched. [thread-safe] */
  int32_t (*open_export)(ipcs_store* store, const ipcs_call* call, const ipcs_str* roots, size_t root_count,
                         ipcs_car_export** out, ipcs_status* status);
  /* Fills `out` with the stream's next bytes; `*count` 0: it has ended. NOT_FOUND: a block could not be had. [exclusive] */
  int32_t (*read)(ipcs_car_export* car, const ipcs_call* call, ipcs_span out, size_t* count, ipcs_status* status);
  void (*close_export)(ipcs_car_export* car); /* [exclusive] */

  /* Starts an import. Until close_import what arrived is safe from the backend's own garbage collection: adopt what
   * is wanted before. [thread-safe] */
  int32_t (*open_import)(ipcs_store* store, const ipcs_call* call, ipcs_car_import** out, ipcs_status* status);
  /* Takes the stream's next bytes. Every block is verified before it is stored.
   * DATA_LOSS: a block's bytes are not those of its CID. INVALID_ARGUMENT: this is no CARv1, or a limit is exceeded. [exclusive] */
  int32_t (*append)(ipcs_car_import* car, const ipcs_call* call, ipcs_bytes bytes, ipcs_status* status);
  /* Ends the stream and gives the header's roots: writes up to `capacity`, `*count` is how many there are.
   * INVALID_ARGUMENT: the stream was cut. FAILED_PRECONDITION: a block below a root is missing. [exclusive] */
  int32_t (*finish)(ipcs_car_import* car, const ipcs_call* call, ipcs_cid* roots, size_t capacity, size_t* count,
                    ipcs_status* status);
  void (*close_import)(ipcs_car_import* car); /* [exclusive] */
} ipcs_car_ops;

/* ---- ipcs.prefetch/1: bytes brought near before they are read ----------------------------- */

typedef struct ipcs_prefetch_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Fetches and verifies bytes [offset, offset + size) of a blob, size 0: to its end; returns when they are local.
   * Told by ipcs_host.progress. NOT_FOUND: there is no such blob, or a block could not be had. [thread-safe] */
  int32_t (*prefetch)(ipcs_store* store, const ipcs_call* call, ipcs_str digest, uint64_t offset, uint64_t size,
                      ipcs_status* status);
} ipcs_prefetch_ops;

/* ---- ipcs.repair/1: an index held against what it describes -------------------------------- */

/* For backends that keep an index apart from the bytes, so that a crash, or a copy of one of them that was put back,
 * can make the two differ. Looking for differences and mending them is one walk. */

enum { /* flags of repair */
  IPCS_REPAIR_DRY_RUN = 1u << 0 /* nothing is changed */
};

enum { /* ipcs_difference.kind */
  IPCS_DIFFERENCE_LEAKED = 1,  /* held where the bytes lie, and the index does not know what for */
  IPCS_DIFFERENCE_MISSING = 2, /* in the index, and not held where the bytes lie */
  IPCS_DIFFERENCE_DAMAGED = 3  /* the bytes are not those that the digest names */
};

enum { /* ipcs_difference.flags */
  IPCS_DIFFERENCE_MENDED = 1u << 0 /* the two agree again, and no bytes were lost */
};

/* Something that is not as it should be. Never changes within version 1. */
typedef struct ipcs_difference {
  uint32_t kind;                 /* IPCS_DIFFERENCE_* */
  uint32_t flags;                /* IPCS_DIFFERENCE_MENDED */
  char name[IPCS_NAME_MAX];      /* NUL-terminated; a blob's digest, the CID of a pin, or another name in the backend */
  char detail[IPCS_MESSAGE_MAX]; /* NUL-terminated; one line, for people, without the name */
} ipcs_difference;

/* How far a walk is. Never changes within version 1. */
typedef struct ipcs_repair_progress {
  uint64_t done_blobs, total_blobs; /* compared */
  uint64_t done_bytes, total_bytes; /* of these, and once more of those hashed; the total grows while blobs are found */
  char current[IPCS_NAME_MAX];      /* NUL-terminated; the blob being hashed, or empty */
} ipcs_repair_progress;

/* Who is told, on the thread that called repair. A result other than IPCS_OK ends the walk: repair returns
 * CANCELLED. The host sets struct_size. */
typedef struct ipcs_repair_sink {
  uint32_t struct_size;
  uint32_t reserved;
  void* context; /* given back with each call */
  int32_t (*found)(void* context, const ipcs_difference* difference);
  int32_t (*progress)(void* context, const ipcs_repair_progress* progress);
} ipcs_repair_sink;

/* What was looked at. The host sets struct_size; the plugin writes only what lies within. */
typedef struct ipcs_repaired {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t blobs;   /* in the index, at the end */
  uint64_t bytes;   /* of them */
  uint64_t claims;  /* of the blobs: their bytes have not been hashed yet */
  uint64_t pending; /* what the backend still has to tidy up by itself; no difference */
} ipcs_repaired;

typedef struct ipcs_repair_ops {
  uint32_t struct_size;
  uint32_t reserved;

  /* Compares the index with what is held where the bytes lie, while others go on using the store, and tells `sink` of
   * each difference; unless IPCS_REPAIR_DRY_RUN is set, mends it first: what is held becomes known, what is known is held
   * again or is forgotten, what nothing needs is let go; then the bytes of all claims are hashed, and what is damaged is
   * taken out of service. A walk that was cut off leaves what it has mended.
   * FAILED_PRECONDITION: where the bytes lie can't be reached, or is another place than the index describes.
   * CANCELLED, DEADLINE_EXCEEDED. [thread-safe] */
  int32_t (*repair)(ipcs_store* store, const ipcs_call* call, uint32_t flags, const ipcs_repair_sink* sink,
                    ipcs_repaired* out, ipcs_status* status);
} ipcs_repair_ops;

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
