// ipcs.repair/1: the index, MFS and Kubo's pins held against each other; an audit is the same walk without changes.
#include <algorithm>
#include <array>
#include <map>

#include "ipld/dag_reader.hpp"
#include "kubo_store.hpp"

namespace ipcs::ipfs_http {
namespace {

constexpr size_t kPage = 1000;
constexpr size_t kStep = 1 << 20;
constexpr auto kAlgorithms = {"sha256", "sha384", "sha512"};

// Blocks that Kubo itself has: neither the network nor what is in memory proves anything here.
class LocalSource final : public ipld::BlockSource {
 public:
  LocalSource(const plugin::Call& call, kubo::Rpc& rpc) : call_(call), rpc_(rpc) {}
  ipld::Bytes get(const ipld::Cid& cid) override { return rpc_.block_get(call_, cid, kubo::Reach::kLocal); }

 private:
  const plugin::Call& call_;
  kubo::Rpc& rpc_;
};

bool same_dag(const ipld::Cid& a, const ipld::Cid& b) { return a.codec() == b.codec() && a.hash() == b.hash(); }

bool ends_all(Code code) {
  return code == Code::kCancelled || code == Code::kDeadlineExceeded || code == Code::kUnavailable || code == Code::kPermissionDenied;
}

// One run.
class Walk {
 public:
  Walk(KuboStore& store, const plugin::Call& call, bool dry_run, const plugin::RepairSink& sink)
      : store_(store), index_(store.index()), rpc_(store.rpc()), call_(call), dry_run_(dry_run), sink_(sink) {}

  plugin::Repaired run() {
    look_for_id();
    const Index::Amount known = index_.blobs();
    progress_.total_blobs = known.count;
    progress_.total_bytes = known.bytes + (dry_run_ ? 0 : index_.claimed().bytes);
    sink_.progress(progress_);
    for (const char* algorithm : kAlgorithms) compare(algorithm);
    settle_id();
    forget_lost();
    guards();
    if (!dry_run_) claims();
    progress_.current.clear();
    sink_.progress(progress_);
    const Index::Amount blobs = index_.blobs();
    return {blobs.count, blobs.bytes, index_.claimed().count, index_.pending()};
  }

 private:
  // What Kubo has of a blob.
  struct Held {
    enum { kWhole, kRootOnly, kBroken, kWrong } state;
    std::string detail;
  };

  // ---- the store's id ----

  std::string id_path() const { return store_.prefix() + "/id"; }

  // Another store's Kubo must not make this index forget its blobs.
  void look_for_id() {
    const std::string found = rpc_.mfs_read(call_, id_path(), 64).value_or("");
    if (!found.empty() && found != store_.id())
      throw Error(Code::kFailedPrecondition, "Kubo at " + rpc_.where() + ": has another store under " + store_.prefix() +
                                                 " than the state directory describes (" + store_.id() + ")");
    id_lost_ = found.empty();
  }

  // Without the id it is this store's Kubo if it has a blob of it.
  void settle_id() {
    if (!id_lost_) return;
    if (!dry_run_) {
      if (linked_ == 0) {
        throw Error(Code::kFailedPrecondition, "Kubo at " + rpc_.where() + ": has no store under " + store_.prefix() +
                                                   " and no blob of the state directory's (" + store_.id() +
                                                   "): give the right Kubo back");
      }
      rpc_.mfs_write(call_, id_path(), store_.id());
    }
    tell(IPCS_DIFFERENCE_MISSING, id_path(), "the store's id is not in MFS", !dry_run_);
  }

  // ---- rows and entries ----

  void compare(const std::string& algorithm) {
    const std::string directory = store_.prefix() + "/blobs/" + algorithm;
    std::map<std::string, bool> buckets;  // in MFS
    for (const kubo::Entry& bucket : rpc_.mfs_list(call_, directory)) buckets[bucket.name] = bucket.directory;
    for (int i = 0; i < 256; ++i) {
      constexpr const char* kHex = "0123456789abcdef";
      const std::string bucket{kHex[i >> 4], kHex[i & 15]};
      std::map<std::string, ipld::Cid> entries;
      if (buckets.contains(bucket)) {
        for (const kubo::Entry& entry : rpc_.mfs_list(call_, directory + "/" + bucket)) {
          if (!entry.directory && entry.cid && is_digest(algorithm + ":" + entry.name))
            entries.emplace(algorithm + ":" + entry.name, *entry.cid);
        }
      }
      compare(algorithm + ":" + bucket, entries);
      sink_.progress(progress_);
    }
  }

  void compare(const std::string& start, std::map<std::string, ipld::Cid>& entries) {
    std::string after = start;
    for (bool over = false; !over;) {
      const std::vector<BlobRow> rows = index_.list(after, kPage);
      over = rows.size() < kPage;
      for (const BlobRow& row : rows) {
        if (!row.digest.starts_with(start)) {
          over = true;
          break;
        }
        after = row.digest;
        ++progress_.done_blobs;
        progress_.done_bytes += row.size;
        const auto entry = entries.find(row.digest);
        const bool agree = entry != entries.end() && same_dag(entry->second, row.cid);
        if (entry != entries.end()) entries.erase(entry);
        if (!agree) differ(row.digest);
      }
    }
    for (const auto& [digest, cid] : entries) differ(digest);
  }

  static bool is_digest(const std::string& text) {
    try {
      split_digest(text);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  // Looks again under the digest's lock: commits and removals go on.
  void differ(const std::string& digest) {
    call_.check();
    const auto lock = store_.lock_digest(call_, digest);
    const std::string path = store_.mfs_path(digest);
    auto entry = rpc_.mfs_stat(call_, path);  // before the row: a removal takes that first
    if (entry && (entry->directory || !entry->cid)) entry.reset();
    const auto row = index_.find(digest);
    if (index_.has_chore(digest)) return;  // the tidying thread makes them agree
    if (row && entry && same_dag(*entry->cid, row->cid)) return;
    if (row) return mend(*row, entry);
    if (!entry) return;
    if (!dry_run_) index_.add_claims({KuboStore::found_row(digest, *entry)});
    tell(IPCS_DIFFERENCE_LEAKED, digest, "its entry in MFS is not in the index", !dry_run_);
  }

  // Kubo's MFS does not hold the row's DAG. The caller holds the digest's lock.
  void mend(BlobRow row, const std::optional<kubo::Entry>& entry) {
    const std::string what = entry ? "its entry in MFS is another DAG, " + entry->cid->to_string() : "it has no entry in MFS";
    if (dry_run_) return tell(IPCS_DIFFERENCE_MISSING, row.digest, what, false);
    const Held held = look(row);
    if (held.state == Held::kWhole || held.state == Held::kRootOnly) {
      rpc_.mfs_link(call_, row.cid, store_.mfs_path(row.digest));
      ++linked_;
      if (!row.verified) {
        row.verified = true;
        index_.put(row);
      }
      const std::string rest = held.state == Held::kRootOnly ? "; Kubo has its root alone, the rest comes from the network" : "";
      return tell(IPCS_DIFFERENCE_MISSING, row.digest, what + rest, true);
    }
    if (entry) {
      index_.put(KuboStore::found_row(row.digest, *entry));
      return tell(IPCS_DIFFERENCE_MISSING, row.digest, what + ", which takes its place: " + held.detail, true);
    }
    lost_.emplace_back(std::move(row), what + ": " + held.detail);
  }

  void forget_lost() {
    for (const auto& [lost, detail] : lost_) {
      const auto lock = store_.lock_digest(call_, lost.digest);
      const auto row = index_.find(lost.digest);
      if (!row || !same_dag(row->cid, lost.cid) || rpc_.mfs_stat(call_, store_.mfs_path(lost.digest))) continue;
      store_.take_out(lost.digest, ChoreKind::kRemove);
      tell(IPCS_DIFFERENCE_MISSING, lost.digest, detail + "; it is forgotten, and writing it again heals it", false);
    }
  }

  // Reads what Kubo has below the row's root, and hashes it.
  Held look(const BlobRow& row) {
    bool root_there = false;
    try {
      LocalSource source(call_, rpc_);
      ipld::DagReader reader(source, row.cid, 0);
      root_there = true;
      if (reader.size() != row.size)
        return {Held::kWrong, "its root says " + std::to_string(reader.size()) + " bytes, not " + std::to_string(row.size)};
      progress_.current = row.digest;
      Hasher hasher(row.digest);
      buffer_.resize(kStep);
      for (uint64_t offset = 0; offset < row.size;) {
        call_.check();
        const size_t count = reader.read_at(offset, buffer_);
        if (count == 0) return {Held::kWrong, "its bytes end at " + std::to_string(offset)};
        hasher.update(std::span(buffer_).first(count));
        offset += count;
        advance(count);
      }
      if (row.reading == Reading::kBytes && hasher.digest() != row.digest) return {Held::kWrong, "Kubo's entry holds other bytes"};
      return {Held::kWhole, ""};
    } catch (const Error& e) {
      if (e.code() == Code::kNotFound) {
        if (root_there && row.reading == Reading::kRoot) return {Held::kRootOnly, ""};
        return {Held::kBroken, std::string("Kubo lacks a block of it: ") + e.what()};
      }
      // A root that is no file's, or a block with other bytes; Kubo that can't be asked is none of the blob's.
      rpc_.version(call_);
      if (ends_all(e.code())) throw;
      return {Held::kWrong, e.what()};
    }
  }

  // ---- guards ----

  void guards() {
    for (const ipld::Cid& cid : rpc_.pins(call_)) {
      call_.check();
      if (cid.codec() != ipld::Codec::kDagPb || index_.has_pin(cid) || !is_guard(cid)) continue;
      // Noted before it is pinned, forgotten after it was dropped: one that is still there now is nobody's.
      if (!rpc_.is_pinned(call_, cid)) continue;
      if (!dry_run_) rpc_.unpin(call_, cid);
      tell(IPCS_DIFFERENCE_LEAKED, cid.to_string(), "a pin that an upload left behind", !dry_run_);
    }
  }

  bool is_guard(const ipld::Cid& cid) {
    try {
      return CarBatch::is_guard(rpc_.block_get(call_, cid, kubo::Reach::kLocal), store_.id());
    } catch (const Error& e) {
      if (e.code() == Code::kNotFound || e.code() == Code::kDataLoss) return false;
      throw;
    }
  }

  // ---- claims ----

  void claims() {
    // Those that were found meanwhile, too.
    progress_.total_bytes = std::max(progress_.total_bytes, progress_.done_bytes + index_.claimed().bytes);
    std::string after;
    for (;;) {
      const std::vector<std::string> digests = index_.claims(after, kPage);
      if (digests.empty()) return;
      after = digests.back();
      for (const std::string& digest : digests) settle_claim(digest);
    }
  }

  void settle_claim(const std::string& digest) {
    call_.check();
    const auto lock = store_.lock_digest(call_, digest);
    auto row = index_.find(digest);
    if (!row || row->verified) return;
    const uint64_t before = progress_.done_bytes;
    const Held held = look(*row);
    progress_.done_bytes = before + row->size;
    if (held.state == Held::kWhole) {
      row->verified = true;
      index_.put(*row);
      return;
    }
    store_.take_out(digest, ChoreKind::kQuarantine);
    tell(held.state == Held::kWrong ? IPCS_DIFFERENCE_DAMAGED : IPCS_DIFFERENCE_MISSING, digest,
         held.detail + "; it is out of service, and writing it again heals it", false);
  }

  void advance(uint64_t bytes) {
    progress_.done_bytes += bytes;
    progress_.total_bytes = std::max(progress_.total_bytes, progress_.done_bytes);
    sink_.progress(progress_);
  }
  void tell(uint32_t kind, const std::string& name, const std::string& detail, bool mended) {
    sink_.found({kind, name, detail, mended});
  }

  KuboStore& store_;
  Index& index_;
  kubo::Rpc& rpc_;
  const plugin::Call& call_;
  const bool dry_run_;
  const plugin::RepairSink& sink_;
  plugin::RepairProgress progress_;
  bool id_lost_ = false;
  uint64_t linked_ = 0;                                // entries made anew
  std::vector<std::pair<BlobRow, std::string>> lost_;  // neither an entry nor a whole DAG
  std::vector<uint8_t> buffer_;
};

}  // namespace

plugin::Repaired KuboStore::repair(const plugin::Call& call, bool dry_run, const plugin::RepairSink& sink) {
  if (dry_run) return Walk(*this, call, dry_run, sink).run();
  require_writable("repair");
  // Claims are left to the walk, which is to tell of those that it finds damaged.
  struct Under {
    explicit Under(std::atomic<int>& repairs) : count(repairs) { ++count; }
    ~Under() { --count; }
    std::atomic<int>& count;
  } under(repairs_);
  return Walk(*this, call, dry_run, sink).run();
}

}  // namespace ipcs::ipfs_http
