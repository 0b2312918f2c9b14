// The host's view of a backend's optional features: each made from a Store, empty where the plugin does not offer it.
#pragma once

#include <algorithm>
#include <exception>
#include <functional>

#include "ipcs/extensions.h"
#include "ipcs/store.hpp"

namespace ipcs {

namespace detail {

inline std::string to_text(const ipcs_cid& cid) {
  return {cid.text, cid.size <= sizeof cid.text ? cid.size : sizeof cid.text};
}

// A table that is missing, or too short for version 1 of the feature, is none.
template <class Ops>
const Ops* feature(const Store& store, const char* id) noexcept {
  const auto* ops = static_cast<const Ops*>(store.extension(id));
  return ops != nullptr && ops->struct_size >= sizeof(Ops) ? ops : nullptr;
}

}  // namespace detail

// ipcs.locate/1. Lives no longer than the store.
class Locator {
 public:
  static std::optional<Locator> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_locate_ops>(store, IPCS_LOCATE_V1);
    return ops != nullptr ? std::optional(Locator(store, ops)) : std::nullopt;
  }

  // The CID of a blob's root; nothing when there is no such blob.
  std::optional<std::string> cid_of(const Call& call, std::string_view digest) const {
    ipcs_status status;
    ipcs_cid cid{};
    const int32_t code = ops_->cid_of(store_, call.abi(), to_abi(digest), &cid, &status);
    if (code == IPCS_NOT_FOUND) return std::nullopt;
    detail::check(code, status);
    return detail::to_text(cid);
  }
  // Searches the network until the call's deadline; nothing when nobody has the blob. Throws kDeadlineExceeded.
  std::optional<Entry> look_up(const Call& call, std::string_view digest) const {
    ipcs_status status;
    ipcs_entry raw{};
    const int32_t code = ops_->look_up(store_, call.abi(), to_abi(digest), &raw, &status);
    if (code == IPCS_NOT_FOUND) return std::nullopt;
    detail::check(code, status);
    return detail::to_entry(raw);
  }

 private:
  Locator(const Store& store, const ipcs_locate_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}
  ipcs_store* store_;
  const ipcs_locate_ops* ops_;
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

// A walk over the blocks of a blob. Movable; one thread at a time. Must go before its Store does.
class BlockCursor {
 public:
  BlockCursor(const ipcs_blocks_ops* ops, ipcs_block_cursor* cursor) noexcept : cursor_(ops, cursor) {}

  // The next blocks, none when the walk is over.
  std::vector<BlockEntry> next(const Call& call, size_t capacity = 256) {
    ipcs_status status;
    size_t count = 0;
    std::vector<ipcs_block> raw(capacity);
    detail::check(cursor_->next(cursor_.get(), call.abi(), raw.data(), capacity, &count, &status), status);
    if (count > capacity) throw Error(Code::kInternal, "the backend says that it listed more than it was asked for");
    std::vector<BlockEntry> blocks;
    blocks.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      blocks.push_back({detail::to_text(raw[i].cid), raw[i].size, raw[i].offset, raw[i].length,
                        (raw[i].flags & IPCS_BLOCK_LEAF) != 0, (raw[i].flags & IPCS_BLOCK_LOCAL) != 0});
    }
    return blocks;
  }

 private:
  detail::Owned<ipcs_block_cursor, ipcs_blocks_ops> cursor_;
};

// ipcs.blocks/1
class BlockLister {
 public:
  static std::optional<BlockLister> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_blocks_ops>(store, IPCS_BLOCKS_V1);
    return ops != nullptr ? std::optional(BlockLister(store, ops)) : std::nullopt;
  }

  BlockCursor list_blocks(const Call& call, std::string_view digest) const {
    ipcs_status status;
    ipcs_block_cursor* cursor = nullptr;
    detail::check(ops_->open(store_, call.abi(), to_abi(digest), &cursor, &status), status);
    return {ops_, cursor};
  }

 private:
  BlockLister(const Store& store, const ipcs_blocks_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}
  ipcs_store* store_;
  const ipcs_blocks_ops* ops_;
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
  static std::optional<Adopter> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_adopt_ops>(store, IPCS_ADOPT_V1);
    return ops != nullptr ? std::optional(Adopter(store, ops)) : std::nullopt;
  }

  // Stores a stored blob under a p2p digest too. Empty chunker or profile: the default.
  Adopted adopt_blob(const Call& call, std::string_view digest, std::string_view chunker,
                     std::string_view profile) const {
    return adopted([&](ipcs_adopted* out, ipcs_status* status) {
      return ops_->adopt_blob(store_, call.abi(), to_abi(digest), to_abi(chunker), to_abi(profile), out, status);
    });
  }
  // Makes a file on the network known under a digest, its p2p digest where that is empty. `expected_size` 0: not known.
  Adopted adopt_cid(const Call& call, std::string_view cid, std::string_view digest, uint64_t expected_size) const {
    return adopted([&](ipcs_adopted* out, ipcs_status* status) {
      return ops_->adopt_cid(store_, call.abi(), to_abi(cid), to_abi(digest), expected_size, out, status);
    });
  }

 private:
  Adopter(const Store& store, const ipcs_adopt_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}

  template <class Body>
  static Adopted adopted(Body&& body) {
    ipcs_status status;
    ipcs_adopted raw{};
    raw.struct_size = sizeof raw;
    detail::check(body(&raw, &status), status);
    raw.digest[sizeof raw.digest - 1] = 0;
    return {raw.digest, detail::to_text(raw.cid), raw.size, raw.blocks, raw.block_bytes};
  }

  ipcs_store* store_;
  const ipcs_adopt_ops* ops_;
};

// A CAR that leaves. Movable; one thread at a time. Must go before its Store does.
class CarExport {
 public:
  CarExport(const ipcs_car_ops* ops, ipcs_car_export* car) noexcept : ops_(ops), car_(car, ops->close_export) {}

  // Fills `out` with the next bytes; 0: the end.
  size_t read(const Call& call, std::span<uint8_t> out) {
    ipcs_status status;
    size_t count = 0;
    detail::check(ops_->read(car_.get(), call.abi(), to_abi(out), &count, &status), status);
    if (count > out.size()) throw Error(Code::kInternal, "the backend says that it read more than it was asked for");
    return count;
  }

 private:
  const ipcs_car_ops* ops_;
  std::unique_ptr<ipcs_car_export, void (*)(ipcs_car_export*)> car_;
};

// A CAR that arrives. Movable; one thread at a time. Must go before its Store does, after what is wanted was adopted.
class CarImport {
 public:
  CarImport(const ipcs_car_ops* ops, ipcs_car_import* car) noexcept : ops_(ops), car_(car, ops->close_import) {}

  void append(const Call& call, std::span<const uint8_t> bytes) {
    ipcs_status status;
    detail::check(ops_->append(car_.get(), call.abi(), to_abi(bytes), &status), status);
  }
  // The roots that the header names, at most kMaxRoots.
  std::vector<std::string> finish(const Call& call) {
    ipcs_status status;
    size_t count = 0;
    std::vector<ipcs_cid> raw(kMaxRoots);
    detail::check(ops_->finish(car_.get(), call.abi(), raw.data(), raw.size(), &count, &status), status);
    if (count > raw.size()) {
      throw Error(Code::kInvalidArgument, "the CAR has " + std::to_string(count) + " roots; " +
                                              std::to_string(kMaxRoots) + " are allowed");
    }
    std::vector<std::string> roots;
    for (size_t i = 0; i < count; ++i) roots.push_back(detail::to_text(raw[i]));
    return roots;
  }

  static constexpr size_t kMaxRoots = 4096;

 private:
  const ipcs_car_ops* ops_;
  std::unique_ptr<ipcs_car_import, void (*)(ipcs_car_import*)> car_;
};

// ipcs.car/1
class CarExchange {
 public:
  static std::optional<CarExchange> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_car_ops>(store, IPCS_CAR_V1);
    return ops != nullptr ? std::optional(CarExchange(store, ops)) : std::nullopt;
  }

  CarExport open_export(const Call& call, std::span<const std::string> roots) const {
    ipcs_status status;
    ipcs_car_export* car = nullptr;
    std::vector<ipcs_str> cids;
    for (const std::string& root : roots) cids.push_back(to_abi(root));
    detail::check(ops_->open_export(store_, call.abi(), cids.data(), cids.size(), &car, &status), status);
    return {ops_, car};
  }
  CarImport open_import(const Call& call) const {
    ipcs_status status;
    ipcs_car_import* car = nullptr;
    detail::check(ops_->open_import(store_, call.abi(), &car, &status), status);
    return {ops_, car};
  }

 private:
  CarExchange(const Store& store, const ipcs_car_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}
  ipcs_store* store_;
  const ipcs_car_ops* ops_;
};

// ipcs.prefetch/1
class Prefetcher {
 public:
  static std::optional<Prefetcher> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_prefetch_ops>(store, IPCS_PREFETCH_V1);
    return ops != nullptr ? std::optional(Prefetcher(store, ops)) : std::nullopt;
  }

  // Returns when `size` bytes from `offset` on are local; size 0: to the blob's end.
  void prefetch(const Call& call, std::string_view digest, uint64_t offset, uint64_t size) const {
    ipcs_status status;
    detail::check(ops_->prefetch(store_, call.abi(), to_abi(digest), offset, size, &status), status);
  }

 private:
  Prefetcher(const Store& store, const ipcs_prefetch_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}
  ipcs_store* store_;
  const ipcs_prefetch_ops* ops_;
};

// Something that is not as it should be.
struct Difference {
  enum class Kind { kLeaked, kMissing, kDamaged };
  Kind kind;
  std::string name;    // digest of a blob, or CID of a pin
  std::string detail;  // one line, without the name
  bool mended = false;
};

// How far a walk is.
struct RepairProgress {
  uint64_t done_blobs = 0, total_blobs = 0;  // compared
  uint64_t done_bytes = 0, total_bytes = 0;  // of these, and once more of those hashed
  std::string current;                       // digest, may be empty
};

struct Repaired {
  uint64_t blobs = 0, bytes = 0;  // in the index
  uint64_t claims = 0;            // of the blobs: not hashed yet
  uint64_t pending = 0;           // what the backend tidies up by itself
};

// ipcs.repair/1
class Repairer {
 public:
  // Who is told, on the calling thread. What they throw ends the walk and comes out of repair().
  struct Observer {
    std::function<void(const Difference&)> found;
    std::function<void(const RepairProgress&)> progress;
  };

  static std::optional<Repairer> of(const Store& store) noexcept {
    const auto* ops = detail::feature<ipcs_repair_ops>(store, IPCS_REPAIR_V1);
    return ops != nullptr ? std::optional(Repairer(store, ops)) : std::nullopt;
  }

  Repaired repair(const Call& call, bool dry_run, const Observer& observer) const {
    Told told{observer, nullptr};
    const ipcs_repair_sink sink{.struct_size = sizeof(ipcs_repair_sink),
                                .reserved = 0,
                                .context = &told,
                                .found = found,
                                .progress = progress};
    ipcs_status status;
    ipcs_repaired raw{};
    raw.struct_size = sizeof raw;
    const int32_t code = ops_->repair(store_, call.abi(), dry_run ? uint32_t{IPCS_REPAIR_DRY_RUN} : 0u, &sink, &raw, &status);
    if (told.thrown) std::rethrow_exception(told.thrown);
    detail::check(code, status);
    return {raw.blobs, raw.bytes, raw.claims, raw.pending};
  }

 private:
  struct Told {
    const Observer& observer;
    std::exception_ptr thrown;  // no exception crosses the border
  };

  Repairer(const Store& store, const ipcs_repair_ops* ops) noexcept : store_(store.handle()), ops_(ops) {}

  template <size_t Size>
  static std::string text(const char (&raw)[Size]) {
    const auto* end = std::find(raw, raw + Size, '\0');
    return {raw, end};
  }
  template <class Body>
  static int32_t guarded(void* context, Body&& body) noexcept {
    Told& told = *static_cast<Told*>(context);
    if (told.thrown) return IPCS_CANCELLED;
    try {
      body(told.observer);
      return IPCS_OK;
    } catch (...) {
      told.thrown = std::current_exception();
      return IPCS_CANCELLED;
    }
  }
  static int32_t found(void* context, const ipcs_difference* raw) noexcept {
    return guarded(context, [raw](const Observer& observer) {
      const auto kind = raw->kind == IPCS_DIFFERENCE_MISSING   ? Difference::Kind::kMissing
                        : raw->kind == IPCS_DIFFERENCE_DAMAGED ? Difference::Kind::kDamaged
                                                               : Difference::Kind::kLeaked;
      if (observer.found)
        observer.found({kind, text(raw->name), text(raw->detail), (raw->flags & IPCS_DIFFERENCE_MENDED) != 0});
    });
  }
  static int32_t progress(void* context, const ipcs_repair_progress* raw) noexcept {
    return guarded(context, [raw](const Observer& observer) {
      if (observer.progress)
        observer.progress({raw->done_blobs, raw->total_blobs, raw->done_bytes, raw->total_bytes, text(raw->current)});
    });
  }

  ipcs_store* store_;
  const ipcs_repair_ops* ops_;
};

}  // namespace ipcs
