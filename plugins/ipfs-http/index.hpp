// The backend's local state: which digests there are, what is pinned for the time being, what is left to do in Kubo.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "database.hpp"
#include "ipld/cid.hpp"

namespace ipcs::ipfs_http {

// What a digest is the hash of.
enum class Reading : int64_t { kBytes = 0, kRoot = 1 };

struct BlobRow {
  std::string digest;
  ipld::Cid cid;  // of the root
  uint64_t size = 0;
  int64_t created_ns = 0;
  Reading reading = Reading::kBytes;
  bool verified = true;  // false: a claim, whose bytes have to be hashed before one of them is served
};

// Work in Kubo that a removal leaves behind.
enum class ChoreKind : int64_t { kRemove = 0, kQuarantine = 1 };
struct Chore {
  std::string digest;
  ChoreKind kind = ChoreKind::kRemove;
};

// Full leaves of an ingest, in the order of its bytes, that Kubo holds under one guard.
inline constexpr uint64_t kLeaf = 262'144;  // bytes of the file in a leaf of Kubo's default layout
struct IngestPart {
  uint64_t offset = 0;          // of the first one's bytes
  std::vector<uint8_t> hashes;  // 32 bytes a leaf: sha2-256 of the block
  ipld::Cid guard;

  size_t leaves() const noexcept { return hashes.size() / 32; }
  uint64_t end() const noexcept { return offset + leaves() * kLeaf; }
  ipld::Cid leaf(size_t number) const {
    return ipld::Cid::v0(ipld::Multihash(ipld::HashCode::kSha2_256, std::span(hashes).subspan(number * 32, 32)));
  }
};

// index.db in the state directory. [thread-safe]. Functions throw Error as Database's do. What changes blobs and chores is
// synced to the disk before they return; the rest survives a kill only.
class Index {
 public:
  explicit Index(const std::string& directory);

  std::string meta(const std::string& key);
  void set_meta(const std::string& key, const std::string& value);

  std::optional<BlobRow> find(std::string_view digest);
  // Rows behind `after` in the order of digests.
  std::vector<BlobRow> list(std::string_view after, size_t limit);
  // Digests of claims behind `after`, in their order.
  std::vector<std::string> claims(std::string_view after, size_t limit);
  struct Amount {
    uint64_t count = 0, bytes = 0;
  };
  Amount blobs();          // rows
  Amount claimed();        // of them, the claims
  size_t pending();        // chores, and pins that are to be dropped
  // Puts a row in the place of the one that may be there, and drops the digest's chore. `ingest`: the key of the one whose
  // bytes these are, or empty; it is finished from then on, whatever the file system still shows.
  void put(const BlobRow& row, std::string_view ingest = {});
  // Keys of ingests that are finished and may still have a file.
  std::vector<std::string> finished_ingests();
  void forget_ingest(std::string_view key);
  // Rows found in Kubo; those whose digest is known stay as they are. Returns how many are new.
  size_t add_claims(const std::vector<BlobRow>& rows);
  // Takes a row out and leaves the chore. False when there is none.
  bool remove(std::string_view digest, ChoreKind kind);
  // Bytes of all blobs; one DAG under several digests is counted once.
  uint64_t bytes() const noexcept { return bytes_; }

  std::vector<Chore> chores(size_t limit);
  bool has_chore(std::string_view digest);
  void finish_chore(std::string_view digest);
  // Before an entry is made in Kubo: unless put() follows, it is to be removed.
  void expect_chore(std::string_view digest);

  // Parts of an ingest: their guards' pins stay in use, over a start too, until they are forgotten. Synced.
  void keep_parts(std::string_view key, std::span<const IngestPart> parts);
  // In the order of offsets.
  std::vector<IngestPart> parts(std::string_view key);
  // Of those from `offset` on; their pins may be dropped from `at_ns` on.
  void forget_parts(std::string_view key, uint64_t offset, int64_t at_ns);
  // Keys of ingests that have any.
  std::vector<std::string> ingests_with_parts();

  // A pin that may be there, from before it is made until it has been dropped.
  void note_pin(const ipld::Cid& cid);
  // From `at_ns` (of the system's clock) on it may be dropped, unless it is a part's.
  void release_pin(const ipld::Cid& cid, int64_t at_ns);
  // Of a start: nobody uses any but parts.
  void release_all_pins();
  std::vector<ipld::Cid> released_pins(int64_t now_ns, size_t limit);
  void forget_pin(const ipld::Cid& cid);
  bool has_pin(const ipld::Cid& cid);
  size_t pins();

 private:
  Amount amount(const char* sql);
  // Whether another digest has the same DAG.
  bool shared(Database& database, const ipld::Cid& cid, std::string_view digest);

  std::mutex write_mutex_;
  Database write_;
  std::mutex notes_mutex_;
  Database notes_;  // writes without a sync
  std::mutex read_mutex_;
  Database read_;
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace ipcs::ipfs_http
