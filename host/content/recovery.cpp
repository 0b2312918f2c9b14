// One pass over each store's blobs and the current one's ingests, one over the catalog's rows.
#include "content/recovery.hpp"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

namespace ipcs::content {
namespace {

constexpr size_t kPage = 1000;

using Sizes = std::unordered_map<Digest, uint64_t>;

Sizes stored_blobs(const Call& call, const Store& store, const log::Log& log) {
  Sizes stored;
  Cursor cursor = store.list_blobs(call);
  for (std::vector<Entry> entries = cursor.next(call); !entries.empty(); entries = cursor.next(call)) {
    for (const Entry& entry : entries) {
      if (auto digest = Digest::try_parse(entry.name)) {
        stored.emplace(*std::move(digest), entry.size);
      } else {
        log.warn("the backend lists a blob whose name is not a digest; it is not served", {{"name", printable(entry.name)}});
      }
    }
  }
  return stored;
}

// One run of recover().
class Recovery {
 public:
  Recovery(const Call& call, Stores& stores, catalog::Catalog& catalog, int64_t now_ns, const RecoveryOptions& options,
           const log::Log& log)
      : call_(call), stores_(stores), catalog_(catalog), now_ns_(now_ns), options_(options), log_(log) {}

  RecoveryReport run() {
    read_stores();
    compare_rows();
    check_stores();
    // In one transaction with the stores' ids: a catalog that has an id has taken in everything.
    catalog_.in_transaction([&] {
      settle_pending_pins();
      adopt();
      const std::string previous = lacking_.empty() ? std::string() : previous_id_;
      if (catalog_.store_id() != id_) catalog_.set_store_id(id_);
      if (catalog_.previous_store_id() != previous) catalog_.set_previous_store_id(previous);
    });
    stores_.lack(lacking_);
    report_.to_copy = stores_.lacking();
    if (!read_only_) settle_ingests();
    return report_;
  }

 private:
  void read_stores() {
    const StoreInfo info = stores_.current().info(call_);
    id_ = info.id;
    read_only_ = info.read_only;
    if (id_.empty()) throw Error(Code::kInternal, fmt::format("backend {}: its store has no id", options_.backend));
    current_ = stored_blobs(call_, stores_.current(), log_);
    report_.blobs = current_.size();
    for (const auto& [digest, size] : current_) report_.bytes += size;
    if (stores_.previous() == nullptr) return;
    previous_id_ = stores_.previous()->info(call_).id;
    if (previous_id_.empty())
      throw Error(Code::kInternal, fmt::format("previous backend {}: its store has no id", options_.previous));
    if (previous_id_ == id_) {
      throw Error(Code::kFailedPrecondition,
                  fmt::format("backend {} and previous backend {}: are one and the same store ({})", options_.backend,
                              options_.previous, id_));
    }
    previous_ = stored_blobs(call_, *stores_.previous(), log_);
  }

  // A row against what is stored.
  void compare(const Digest& digest, uint64_t size) {
    known_.insert(digest);
    const auto here = current_.find(digest);
    if (here != current_.end() && here->second == size) return;
    const auto there = previous_.find(digest);
    const bool sound_there = there != previous_.end() && there->second == size;
    if (here == current_.end() ? there != previous_.end() : sound_there) {
      lacking_.emplace(digest, size);
      if (!sound_there) ++report_.damaged;
    } else if (here == current_.end()) {
      ++report_.missing;
    } else {
      ++report_.damaged;
    }
  }

  void compare_rows() {
    std::string after;
    for (;;) {
      const std::vector<Blob> rows = catalog_.list({}, after, kPage);
      if (rows.empty()) return;
      after = rows.back().digest.to_string();
      for (const Blob& row : rows) compare(row.digest, row.size);
    }
  }

  // What is missing must not lie in a store that the catalog remembers and that is not open.
  void check_stores() const {
    if (report_.missing == 0 || options_.allow_missing) return;
    const std::string former = catalog_.previous_store_id();
    for (const std::string& id : {catalog_.store_id(), former}) {
      if (id.empty() || id == id_ || id == previous_id_) continue;
      throw Error(Code::kFailedPrecondition, refusal(id, id == former));
    }
  }

  std::string refusal(const std::string& id, bool former) const {
    const std::string what = former ? "the catalog remembers that blobs still lie in" : "the catalog describes";
    const std::string end = "or start with --allow-missing to do without them";
    if (stores_.previous() == nullptr && !former) {
      return fmt::format("backend {}: this is another store ({}) than the catalog describes ({}); it lacks {} of the {} "
                         "blobs in use; give the old one back, name it as `previous`, {}",
                         options_.backend, id_, id, report_.missing, known_.size(), end);
    }
    if (stores_.previous() == nullptr) {
      return fmt::format("backend {}: its store ({}) lacks {} of the {} blobs in use, and {} another one ({}); name its "
                         "backend as `previous`, {}",
                         options_.backend, id_, report_.missing, known_.size(), what, id, end);
    }
    return fmt::format("backend {} and previous backend {}: their stores ({} and {}) lack {} of the {} blobs in use, but "
                       "{} another one ({}); name its backend as `previous`, {}",
                       options_.backend, options_.previous, id_, previous_id_, report_.missing, known_.size(), what, id,
                       end);
  }

  // Those that become pins are then known.
  void settle_pending_pins() {
    for (const Digest& digest : catalog_.pending_pins()) {
      if (!current_.contains(digest) && !previous_.contains(digest)) {
        catalog_.cancel_pin(digest);
        continue;
      }
      catalog_.finish_pin(digest);
      if (!known_.contains(digest)) compare(digest, catalog_.find_any({}, digest)->size);
    }
  }

  void adopt() {
    const std::string remembered = catalog_.store_id();
    for (const auto& [digest, size] : current_) adopt(digest, size, remembered.empty());
    // A blob without a row that the previous store had before this catalog was used with another one is as good as one
    // of the current store. After that it is one that was deleted.
    if (!remembered.empty() && remembered != previous_id_) return;
    for (const auto& [digest, size] : previous_) {
      if (adopt(digest, size, remembered.empty())) lacking_.emplace(digest, size);
    }
  }

  bool adopt(const Digest& digest, uint64_t size, bool first_start) {
    if (!known_.insert(digest).second) return false;
    ++report_.adopted;
    if (first_start && !options_.adopt_for_containerd) {
      catalog_.pin(digest, size, now_ns_, "found at first start");
      return true;
    }
    for (const std::string& client : options_.clients) catalog_.claim(client, digest, size, now_ns_, nullptr);
    return true;
  }

  void settle_ingests() {
    std::unordered_set<std::string> rows;
    for (const catalog::Ingest& ingest : catalog_.ingests({})) rows.insert(ingest.key);
    std::unordered_map<std::string, Digest> copies;
    for (const auto& [digest, size] : lacking_) copies.emplace(Stores::copy_key(digest), digest);
    std::unordered_set<std::string> stored;
    std::unordered_set<std::string> strangers;
    Cursor cursor = stores_.current().list_ingests(call_);
    for (std::vector<Entry> entries = cursor.next(call_); !entries.empty(); entries = cursor.next(call_)) {
      for (Entry& entry : entries) {
        if (const auto copy = copies.find(entry.name); copy != copies.end()) {
          stores_.copy_begun(copy->second);
        } else {
          (rows.contains(entry.name) ? stored : strangers).insert(std::move(entry.name));
        }
      }
    }
    for (const std::string& key : strangers) stores_.current().discard_ingest(call_, key);
    report_.dropped_ingests = strangers.size();
    for (const std::string& key : rows) {
      if (stored.contains(key)) continue;
      catalog_.drop_ingest(key);
      ++report_.dropped_ingests;
    }
  }

  const Call& call_;
  Stores& stores_;
  catalog::Catalog& catalog_;
  const int64_t now_ns_;
  const RecoveryOptions& options_;
  const log::Log& log_;
  std::string id_, previous_id_;  // previous: empty when there is none
  bool read_only_ = false;
  Sizes current_, previous_;          // what is stored
  std::unordered_set<Digest> known_;  // digests of rows
  Stores::Sizes lacking_;             // what the previous store is to serve
  RecoveryReport report_;
};

}  // namespace

RecoveryReport recover(const Call& call, Stores& stores, catalog::Catalog& catalog, int64_t now_ns,
                       const RecoveryOptions& options, const log::Log& log) {
  return Recovery(call, stores, catalog, now_ns, options, log).run();
}

}  // namespace ipcs::content
