// The store behind the daemon and, while its blobs are copied over, the one before it: together one set of blobs.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "ipcs/store.hpp"
#include "oci/digest.hpp"

namespace ipcs::content {

// A number of blobs or ingests with their bytes.
struct Amount {
  uint64_t count = 0;
  uint64_t bytes = 0;

  void add(uint64_t more) {
    ++count;
    bytes += more;
  }
};

// Blobs are written to and removed from the current store only; nothing ever changes the previous one. What the
// previous one serves is fixed at start: the blobs that somebody held then and the current one lacked. Each is served
// until it is stored in the current one, is removed, or turns out to be damaged; what is not among them might as well
// not be there, so that a blob that was deleted stays deleted.
//
// Does not own the stores; they outlive it. Where there is no previous store it costs nothing. [thread-safe], but calls
// that change what is stored under one digest come one after the other: Content's lock of that digest sees to it.
class Stores {
 public:
  enum class Place { kCurrent, kPrevious };
  struct Opened {
    BlobReader reader;
    Place place;
  };
  // Sizes of blobs by digest.
  using Sizes = std::map<oci::Digest, uint64_t>;

  explicit Stores(Store& current, const Store* previous = nullptr) : current_(current), previous_(previous) {}
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;

  Store& current() noexcept { return current_; }
  const Store& current() const noexcept { return current_; }
  // Null when there is none.
  const Store* previous() const noexcept { return previous_; }
  // Whether all reads wait for a local disk at most.
  bool local(const Call& call) const;

  // -- blobs, wherever they lie ------------------------------------------------------------------------------------
  // As Store::stat_blob and Store::open_blob.
  std::optional<Entry> stat(const Call& call, const oci::Digest& digest) const;
  Opened open(const Call& call, const oci::Digest& digest) const;
  // Removes the blob: from the current store, and from what the previous one serves. Throws what the current one
  // throws.
  void remove(const Call& call, const oci::Digest& digest);
  // Takes a damaged blob out of service, where it was found: in the current store by quarantine, of the previous one
  // until the next start. Does nothing where it is not in that place any more.
  void quarantine(const Call& call, const oci::Digest& digest, Place place);
  // To be told of every blob that was committed to the current store, which serves it from now on.
  void no_longer_lacking(const Call& call, const oci::Digest& digest) noexcept;

  // -- what the current one lacks ----------------------------------------------------------------------------------
  // Once, at start: these are served by the previous store.
  void lack(const Sizes& blobs);
  // How much that is by now; damaged ones count.
  Amount lacking() const;
  bool lacks(const oci::Digest& digest) const;
  // The first of them behind `after` (nothing: the very first), with its size.
  std::optional<Sizes::value_type> next_lacking(const std::optional<oci::Digest>& after) const;

  // The bytes of a blob being copied are an ingest of the current store under a key of their own, without a row in the
  // catalog: nobody else sees it, and it goes on where it was left.
  static std::string copy_key(const oci::Digest& digest);
  // Held by whoever copies: one at a time.
  std::mutex& copying() noexcept { return copying_; }
  // Opens that ingest. Nothing when the current store does not lack the blob any more. end_copy() must follow.
  std::optional<Ingest> begin_copy(const Call& call, const oci::Digest& digest);
  // After the ingest is closed. What it holds is kept for another try only if `keep` and the blob is still lacking.
  void end_copy(const Call& call, const oci::Digest& digest, bool keep);
  // At start: a copy of the blob was begun earlier and is held by the current store.
  void copy_begun(const oci::Digest& digest);

 private:
  enum class Copy { kNone, kOpen, kResting };  // of the ingest
  struct Blob {
    uint64_t size;  // bytes
    bool damaged = false;
    Copy copy = Copy::kNone;
  };

  enum class State { kCurrent, kPrevious, kDamaged };  // where a blob is looked for; damaged: nowhere

  State state(const oci::Digest& digest) const;

  Store& current_;
  const Store* const previous_;
  mutable std::mutex mutex_;  // never held over a call to a store
  std::map<oci::Digest, Blob> lacking_;
  uint64_t lacking_bytes_ = 0;
  std::mutex copying_;
};

}  // namespace ipcs::content
