// The author's SDK for optional features: a store derives from these classes too and gives out their tables.
//
//   class MyStore : public ipcs::plugin::ContentStore, public ipcs::plugin::Locator, … {
//     const void* extension(std::string_view id) noexcept override { return ipcs::plugin::extension_of<MyStore>(id); }
//   };
//
// Contracts, thread rules and error codes are those of the functions of the same name in extensions.h.
#pragma once

#include <concepts>

#include "ipcs/extensions.h"
#include "ipcs/plugin.hpp"

namespace ipcs::plugin {

// ipcs.locate/1
class Locator {
 public:
  virtual ~Locator() = default;
  virtual std::string cid_of(const Call& call, std::string_view digest) = 0;
  virtual Entry look_up(const Call& call, std::string_view digest) = 0;  // throws kNotFound, kDeadlineExceeded
};

// A block of a blob.
struct BlockEntry {
  std::string cid;
  uint64_t size = 0;    // of the block, bytes
  uint64_t offset = 0;  // in the blob
  uint64_t length = 0;  // bytes of the blob below the block
  bool leaf = false;
  bool local = false;
};

// A walk under way.
class BlockCursor {
 public:
  virtual ~BlockCursor() = default;
  // The next blocks, at most `capacity`; none when the walk is over.
  virtual std::vector<BlockEntry> next(const Call& call, size_t capacity) = 0;
};

// ipcs.blocks/1
class BlockLister {
 public:
  virtual ~BlockLister() = default;
  virtual std::unique_ptr<BlockCursor> list_blocks(const Call& call, std::string_view digest) = 0;
};

// What was made known.
struct Adopted {
  std::string digest;
  std::string cid;
  uint64_t size = 0;         // of the blob, bytes
  uint64_t blocks = 0;       // 0: not known
  uint64_t block_bytes = 0;  // 0: not known
};

// ipcs.adopt/1
class Adopter {
 public:
  virtual ~Adopter() = default;
  virtual Adopted adopt_blob(const Call& call, std::string_view digest, std::string_view chunker,
                             std::string_view profile) = 0;
  virtual Adopted adopt_cid(const Call& call, std::string_view cid, std::string_view digest,
                            uint64_t expected_size) = 0;
};

// A CAR that leaves.
class CarExport {
 public:
  virtual ~CarExport() = default;
  virtual size_t read(const Call& call, std::span<uint8_t> out) = 0;  // 0: the end
};

// A CAR that arrives.
class CarImport {
 public:
  virtual ~CarImport() = default;
  virtual void append(const Call& call, std::span<const uint8_t> bytes) = 0;
  virtual std::vector<std::string> finish(const Call& call) = 0;  // the roots
};

// ipcs.car/1
class CarExchange {
 public:
  virtual ~CarExchange() = default;
  virtual std::unique_ptr<CarExport> open_export(const Call& call, std::span<const std::string_view> roots) = 0;
  virtual std::unique_ptr<CarImport> open_import(const Call& call) = 0;
};

// ipcs.prefetch/1
class Prefetcher {
 public:
  virtual ~Prefetcher() = default;
  virtual void prefetch(const Call& call, std::string_view digest, uint64_t offset, uint64_t size) = 0;
};

// Something that is not as it should be.
struct Difference {
  uint32_t kind = IPCS_DIFFERENCE_LEAKED;  // IPCS_DIFFERENCE_*
  std::string name;                        // digest or CID
  std::string detail;                      // one line, without the name
  bool mended = false;
};

// How far a walk is.
struct RepairProgress {
  uint64_t done_blobs = 0, total_blobs = 0;
  uint64_t done_bytes = 0, total_bytes = 0;
  std::string current;  // digest, may be empty
};

struct Repaired {
  uint64_t blobs = 0, bytes = 0, claims = 0, pending = 0;
};

// Whom a walk tells. Functions throw kCancelled when the host wants no more.
class RepairSink {
 public:
  explicit RepairSink(const ipcs_repair_sink* abi) noexcept : abi_(abi) {}
  void found(const Difference& difference) const;
  void progress(const RepairProgress& progress) const;

 private:
  static void check(int32_t code) {
    if (code != IPCS_OK) throw Error(Code::kCancelled, "repair: the host wants no more");
  }
  const ipcs_repair_sink* abi_;
};

// ipcs.repair/1
class Repairer {
 public:
  virtual ~Repairer() = default;
  virtual Repaired repair(const Call& call, bool dry_run, const RepairSink& sink) = 0;
};

namespace detail {

inline void write_cid(std::string_view cid, ipcs_cid* out) {
  if (cid.size() > sizeof out->text) throw Error(Code::kInternal, std::string(cid) + ": longer than IPCS_NAME_MAX");
  *out = ipcs_cid{};
  out->size = static_cast<uint32_t>(cid.size());
  std::memcpy(out->text, cid.data(), cid.size());
}

inline void write_block(const BlockEntry& block, ipcs_block* out) {
  *out = ipcs_block{};
  out->size = block.size;
  out->offset = block.offset;
  out->length = block.length;
  out->flags = (block.leaf ? uint32_t{IPCS_BLOCK_LEAF} : 0u) | (block.local ? uint32_t{IPCS_BLOCK_LOCAL} : 0u);
  write_cid(block.cid, &out->cid);
}

inline void write_adopted(const Adopted& adopted, ipcs_adopted* out) {
  ipcs_adopted full{};
  full.struct_size = out->struct_size;
  full.size = adopted.size;
  full.blocks = adopted.blocks;
  full.block_bytes = adopted.block_bytes;
  copy_text(adopted.digest, full.digest, sizeof full.digest);
  write_cid(adopted.cid, &full.cid);
  std::memcpy(out, &full, std::min<size_t>(out->struct_size, sizeof full));
}

inline void write_repaired(const Repaired& repaired, ipcs_repaired* out) {
  ipcs_repaired full{};
  full.struct_size = out->struct_size;
  full.blobs = repaired.blobs;
  full.bytes = repaired.bytes;
  full.claims = repaired.claims;
  full.pending = repaired.pending;
  std::memcpy(out, &full, std::min<size_t>(out->struct_size, sizeof full));
}

// A handle is a ContentStore; the feature is another base of the same object.
template <class Store>
Store& store_as(ipcs_store* s) noexcept {
  return static_cast<Store&>(as<ContentStore>(s));
}

template <class Store>
inline constexpr ipcs_locate_ops kLocateOps = {
    .struct_size = sizeof(ipcs_locate_ops),
    .reserved = 0,
    .cid_of = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_cid* out, ipcs_status* st) {
      return guard(st, [&] { write_cid(store_as<Store>(s).cid_of(Call(c), view(digest)), out); });
    },
    .look_up = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_entry* out, ipcs_status* st) {
      return guard(st, [&] { write_entry(store_as<Store>(s).look_up(Call(c), view(digest)), out); });
    },
};

template <class Store>
inline constexpr ipcs_blocks_ops kBlocksOps = {
    .struct_size = sizeof(ipcs_blocks_ops),
    .reserved = 0,
    .open = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_block_cursor** out, ipcs_status* st) {
      return guard(
          st, [&] { *out = release<ipcs_block_cursor>(store_as<Store>(s).list_blocks(Call(c), view(digest))); });
    },
    .next = [](ipcs_block_cursor* cursor, const ipcs_call* c, ipcs_block* out, size_t capacity, size_t* count,
               ipcs_status* st) {
      return guard(st, [&] {
        const std::vector<BlockEntry> blocks = as<BlockCursor>(cursor).next(Call(c), capacity);
        if (blocks.size() > capacity) throw Error(Code::kInternal, "a cursor returned more than it was asked for");
        for (size_t i = 0; i < blocks.size(); ++i) write_block(blocks[i], out + i);
        *count = blocks.size();
      });
    },
    .close = [](ipcs_block_cursor* cursor) { destroy<BlockCursor>(cursor); },
};

template <class Store>
inline constexpr ipcs_adopt_ops kAdoptOps = {
    .struct_size = sizeof(ipcs_adopt_ops),
    .reserved = 0,
    .adopt_blob = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, ipcs_str chunker, ipcs_str profile,
                     ipcs_adopted* out, ipcs_status* st) {
      return guard(st, [&] {
        write_adopted(store_as<Store>(s).adopt_blob(Call(c), view(digest), view(chunker), view(profile)), out);
      });
    },
    .adopt_cid = [](ipcs_store* s, const ipcs_call* c, ipcs_str cid, ipcs_str digest, uint64_t expected_size,
                    ipcs_adopted* out, ipcs_status* st) {
      return guard(st, [&] {
        write_adopted(store_as<Store>(s).adopt_cid(Call(c), view(cid), view(digest), expected_size), out);
      });
    },
};

template <class Store>
inline constexpr ipcs_car_ops kCarOps = {
    .struct_size = sizeof(ipcs_car_ops),
    .reserved = 0,
    .open_export = [](ipcs_store* s, const ipcs_call* c, const ipcs_str* roots, size_t root_count,
                      ipcs_car_export** out, ipcs_status* st) {
      return guard(st, [&] {
        std::vector<std::string_view> cids;
        for (size_t i = 0; i < root_count; ++i) cids.push_back(view(roots[i]));
        *out = release<ipcs_car_export>(store_as<Store>(s).open_export(Call(c), cids));
      });
    },
    .read = [](ipcs_car_export* car, const ipcs_call* c, ipcs_span out, size_t* count, ipcs_status* st) {
      return guard(st, [&] { *count = as<CarExport>(car).read(Call(c), {out.data, out.size}); });
    },
    .close_export = [](ipcs_car_export* car) { destroy<CarExport>(car); },
    .open_import = [](ipcs_store* s, const ipcs_call* c, ipcs_car_import** out, ipcs_status* st) {
      return guard(st, [&] { *out = release<ipcs_car_import>(store_as<Store>(s).open_import(Call(c))); });
    },
    .append = [](ipcs_car_import* car, const ipcs_call* c, ipcs_bytes bytes, ipcs_status* st) {
      return guard(st, [&] { as<CarImport>(car).append(Call(c), {bytes.data, bytes.size}); });
    },
    .finish = [](ipcs_car_import* car, const ipcs_call* c, ipcs_cid* roots, size_t capacity, size_t* count,
                 ipcs_status* st) {
      return guard(st, [&] {
        const std::vector<std::string> cids = as<CarImport>(car).finish(Call(c));
        for (size_t i = 0; i < std::min(cids.size(), capacity); ++i) write_cid(cids[i], roots + i);
        *count = cids.size();
      });
    },
    .close_import = [](ipcs_car_import* car) { destroy<CarImport>(car); },
};

template <class Store>
inline constexpr ipcs_prefetch_ops kPrefetchOps = {
    .struct_size = sizeof(ipcs_prefetch_ops),
    .reserved = 0,
    .prefetch = [](ipcs_store* s, const ipcs_call* c, ipcs_str digest, uint64_t offset, uint64_t size,
                   ipcs_status* st) {
      return guard(st, [&] { store_as<Store>(s).prefetch(Call(c), view(digest), offset, size); });
    },
};

template <class Store>
inline constexpr ipcs_repair_ops kRepairOps = {
    .struct_size = sizeof(ipcs_repair_ops),
    .reserved = 0,
    .repair = [](ipcs_store* s, const ipcs_call* c, uint32_t flags, const ipcs_repair_sink* sink, ipcs_repaired* out,
                 ipcs_status* st) {
      return guard(st, [&] {
        const bool dry_run = (flags & IPCS_REPAIR_DRY_RUN) != 0;
        write_repaired(store_as<Store>(s).repair(Call(c), dry_run, RepairSink(sink)), out);
      });
    },
};

}  // namespace detail

inline void RepairSink::found(const Difference& difference) const {
  ipcs_difference raw{};
  raw.kind = difference.kind;
  raw.flags = difference.mended ? uint32_t{IPCS_DIFFERENCE_MENDED} : 0u;
  detail::copy_text(difference.name, raw.name, sizeof raw.name);
  detail::copy_text(difference.detail, raw.detail, sizeof raw.detail);
  check(abi_->found(abi_->context, &raw));
}

inline void RepairSink::progress(const RepairProgress& progress) const {
  ipcs_repair_progress raw{};
  raw.done_blobs = progress.done_blobs;
  raw.total_blobs = progress.total_blobs;
  raw.done_bytes = progress.done_bytes;
  raw.total_bytes = progress.total_bytes;
  detail::copy_text(progress.current, raw.current, sizeof raw.current);
  check(abi_->progress(abi_->context, &raw));
}

// The table of the feature `id` if `Store` derives from its class, otherwise null.
template <class Store>
const void* extension_of(std::string_view id) noexcept {
  if constexpr (std::derived_from<Store, Locator>) {
    if (id == IPCS_LOCATE_V1) return &detail::kLocateOps<Store>;
  }
  if constexpr (std::derived_from<Store, BlockLister>) {
    if (id == IPCS_BLOCKS_V1) return &detail::kBlocksOps<Store>;
  }
  if constexpr (std::derived_from<Store, Adopter>) {
    if (id == IPCS_ADOPT_V1) return &detail::kAdoptOps<Store>;
  }
  if constexpr (std::derived_from<Store, CarExchange>) {
    if (id == IPCS_CAR_V1) return &detail::kCarOps<Store>;
  }
  if constexpr (std::derived_from<Store, Prefetcher>) {
    if (id == IPCS_PREFETCH_V1) return &detail::kPrefetchOps<Store>;
  }
  if constexpr (std::derived_from<Store, Repairer>) {
    if (id == IPCS_REPAIR_V1) return &detail::kRepairOps<Store>;
  }
  return nullptr;
}

}  // namespace ipcs::plugin
