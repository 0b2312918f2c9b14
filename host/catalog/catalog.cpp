// Blobs, claims and labels.
#include "catalog/catalog.hpp"

#include "catalog/encoding.hpp"
#include "catalog/rows.hpp"
#include "catalog/state.hpp"

namespace ipcs::catalog {
namespace {

// A held blob b is one that has a claim or a finished pin. Rows of blobs have a claim or a pin of either kind.
#define IPCS_IS_CLAIMED \
  "EXISTS(SELECT 1 FROM clients n CROSS JOIN claims h ON h.client = n.name AND h.digest = b.digest)"
// Pending pins are few, so most rows are known to be held by looking for one.
#define IPCS_IS_HELD                                                              \
  "(NOT EXISTS(SELECT 1 FROM pins p WHERE p.digest = b.digest AND p.pending)"     \
  " OR EXISTS(SELECT 1 FROM pins p WHERE p.digest = b.digest AND NOT p.pending)" \
  " OR " IPCS_IS_CLAIMED ")"

// Columns: size, created_ns, updated_ns, labels.
Blob blob_of(const Digest& digest, const Statement& row, int first = 0) {
  return {digest, static_cast<uint64_t>(row.integer(first)), row.integer(first + 1), row.integer(first + 2),
          decode_labels(row.bytes(first + 3))};
}

std::optional<Blob> find_held(Connection& db, const Digest& digest, const std::string& key) {
  Statement row(db, "SELECT size, created_ns, updated_ns, labels FROM blobs b WHERE digest = ? AND " IPCS_IS_HELD);
  if (!row.blob(key).step()) return std::nullopt;
  return blob_of(digest, row);
}

std::optional<Blob> find_claimed(Connection& db, const std::string& client, const Digest& digest,
                                 const std::string& key) {
  Statement row(db,
                "SELECT b.size, c.created_ns, c.updated_ns, c.labels FROM claims c JOIN blobs b ON b.digest = c.digest"
                " WHERE c.client = ? AND c.digest = ?");
  if (!row.text(client).blob(key).step()) return std::nullopt;
  return blob_of(digest, row);
}

constexpr char kStoreId[] = "store_id";
constexpr char kPreviousStoreId[] = "previous_store_id";

// The text under a name, empty when there is none.
std::string meta(Connection& db, const char* name) {
  Statement row(db, "SELECT value FROM meta WHERE name = ?");
  return row.text(name).step() ? std::string(row.bytes(0)) : std::string();
}

void set_meta(Connection& db, const char* name, const std::string& value) {
  Statement(db,
            "INSERT INTO meta(name, value) VALUES(?, ?)"
            " ON CONFLICT(name) DO UPDATE SET value = excluded.value")
      .text(name)
      .blob(value)
      .run();
}

void apply(const LabelChange& change, Labels& labels) {
  if (change.replace_all) {
    labels = change.labels;
    return;
  }
  for (const auto& [key, value] : change.labels) {
    if (value.empty()) {
      labels.erase(key);
    } else {
      labels.insert_or_assign(key, value);
    }
  }
}

}  // namespace

Catalog::Catalog(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalog::~Catalog() = default;

std::unique_ptr<Catalog> Catalog::open(const std::string& path, const Options& options) {
  return std::unique_ptr<Catalog>(new Catalog(std::make_unique<State>(path, options)));
}

bool Catalog::created() const {
  return state_->created();
}

void Catalog::in_transaction(const std::function<void()>& body) {
  state_->transaction(Durable::kNo, body);
}

std::string Catalog::store_id() const {
  return state_->read([](Connection& db) { return meta(db, kStoreId); });
}

void Catalog::set_store_id(const std::string& id) {
  state_->write(Durable::kYes, [&](Connection& db) { set_meta(db, kStoreId, id); });
}

std::string Catalog::previous_store_id() const {
  return state_->read([](Connection& db) { return meta(db, kPreviousStoreId); });
}

void Catalog::set_previous_store_id(const std::string& id) {
  state_->write(Durable::kYes, [&](Connection& db) { set_meta(db, kPreviousStoreId, id); });
}

std::optional<Blob> Catalog::find(const std::string& client, const Digest& digest) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) {
    return is_operator(client) ? find_held(db, digest, key) : find_claimed(db, client, digest, key);
  });
}

std::optional<Blob> Catalog::find_any(const std::string& client, const Digest& digest) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) -> std::optional<Blob> {
    if (is_operator(client)) return find_held(db, digest, key);
    if (auto own = find_claimed(db, client, digest, key)) return own;
    auto held = find_held(db, digest, key);
    if (held) held->labels.clear();  // the operator's
    return held;
  });
}

void Catalog::claim(const std::string& client, const Digest& digest, uint64_t size, int64_t now_ns,
                    const Labels* labels) {
  if (is_operator(client)) throw Error(Code::kInvalidArgument, "catalog: the operator holds blobs by pins, not claims");
  const std::string key = digest_key(digest);
  const int64_t column = size_column(size);
  // Info claims again and again what is claimed already: that must not wait for the writer.
  const bool unchanged = labels == nullptr && state_->read([&](Connection& db) {
    Statement row(db,
                  "SELECT 1 FROM claims c JOIN blobs b ON b.digest = c.digest"
                  " WHERE c.client = ? AND c.digest = ? AND b.size = ?");
    return row.text(client).blob(key).bind(column).step();
  });
  if (unchanged) return;
  const std::string encoded = labels == nullptr ? std::string() : encode_labels(*labels);
  bool added = true;
  const auto put_claim = [&](Connection& db) {
    // A lost claim is made anew at the next start, unless that finds another's row of the blob.
    bool could_be_lost = false;
    if (insert_blob(db, key, column, now_ns)) {
      could_be_lost = state_->row_may_return(key);
    } else {
      const bool resized = resize_blob(db, key, column);
      Statement claimed(db, "SELECT 1 FROM claims WHERE client = ? AND digest = ?");
      added = !claimed.text(client).blob(key).step();
      could_be_lost = added || resized;
    }
    if (could_be_lost) state_->want_durable();
    Statement row(db,
                  "INSERT INTO claims(client, digest, created_ns, updated_ns, labels) VALUES(?1, ?2, ?3, ?3, ?4)"
                  " ON CONFLICT(client, digest) DO UPDATE SET labels = excluded.labels WHERE ?5");
    row.text(client).blob(key).bind(now_ns);
    encoded.empty() ? row.null() : row.blob(encoded);
    row.bind(labels != nullptr).run();
  };
  try {
    state_->write(Durable::kNo, put_claim);
  } catch (const Error&) {
    // A claim whose fsync failed must not be seen by whoever asks again.
    if (added && !state_->sync_works()) take_back(client, digest);
    throw;
  }
}

void Catalog::take_back(const std::string& client, const Digest& digest) noexcept {
  try {
    unclaim(client, digest);
  } catch (const std::exception&) {
    // The disk is broken. What is seen now is what the next start sees, if anything.
  }
}

bool Catalog::unclaim(const std::string& client, const Digest& digest) {
  const std::string key = digest_key(digest);
  return state_->write(Durable::kNo, [&](Connection& db) {
    Statement row(db, "DELETE FROM claims WHERE client = ? AND digest = ?");
    return row.text(client).blob(key).run() > 0 && state_->drop_unheld(key);
  });
}

std::optional<Blob> Catalog::update_labels(const std::string& client, const Digest& digest, const LabelChange& change,
                                           int64_t now_ns) {
  const std::string key = digest_key(digest);
  return state_->write(Durable::kNo, [&](Connection& db) {
    auto blob = is_operator(client) ? find_held(db, digest, key) : find_claimed(db, client, digest, key);
    if (!blob) return blob;
    apply(change, blob->labels);
    blob->updated_ns = now_ns;
    const std::string encoded = encode_labels(blob->labels);
    Statement row(db, is_operator(client)
                          ? "UPDATE blobs SET labels = ?1, updated_ns = ?2 WHERE digest = ?3"
                          : "UPDATE claims SET labels = ?1, updated_ns = ?2 WHERE digest = ?3 AND client = ?4");
    encoded.empty() ? row.null() : row.blob(encoded);
    row.bind(now_ns).blob(key);
    if (!is_operator(client)) row.text(client);
    row.run();
    return blob;
  });
}

std::vector<Blob> Catalog::list(const std::string& client, const std::string& after, size_t limit) const {
  const std::string start = page_start(after);
  return state_->scan([&](Connection& db) {
    Statement row(db, is_operator(client) ? "SELECT digest, size, created_ns, updated_ns, labels FROM blobs b"
                                            " WHERE digest > ?1 AND " IPCS_IS_HELD " ORDER BY digest LIMIT ?2"
                                          : "SELECT c.digest, b.size, c.created_ns, c.updated_ns, c.labels"
                                            " FROM claims c CROSS JOIN blobs b ON b.digest = c.digest"
                                            " WHERE c.digest > ?1 AND c.client = ?3 ORDER BY c.digest LIMIT ?2");
    row.blob(start).bind(page_limit(limit));
    if (!is_operator(client)) row.text(client);
    std::vector<Blob> page;
    while (row.step()) page.push_back(blob_of(digest_of_key(row.bytes(0)), row, 1));
    return page;
  });
}

std::vector<std::string> Catalog::claimants(const Digest& digest) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) {
    Statement row(db,
                  "SELECT c.client FROM clients n CROSS JOIN claims c ON c.client = n.name AND c.digest = ?"
                  " ORDER BY c.client");
    row.blob(key);
    std::vector<std::string> names;
    while (row.step()) names.emplace_back(row.bytes(0));
    return names;
  });
}

std::vector<std::string> Catalog::clients() const {
  return state_->scan([](Connection& db) {
    Statement row(db, "SELECT name FROM clients UNION SELECT client FROM ingests WHERE client <> ? ORDER BY 1");
    row.text(kOperator);
    std::vector<std::string> names;
    while (row.step()) names.emplace_back(row.bytes(0));
    return names;
  });
}

void Catalog::forget(const Digest& digest) {
  const std::string key = digest_key(digest);
  state_->write(Durable::kNo, [&](Connection& db) {
    Statement(db, "DELETE FROM claims WHERE client IN (SELECT name FROM clients) AND digest = ?").blob(key).run();
    Statement(db, "DELETE FROM pins WHERE digest = ?").blob(key).run();
    if (Statement(db, "DELETE FROM blobs WHERE digest = ?").blob(key).run() > 0) state_->note_dropped_row(key);
  });
}

Totals Catalog::totals() const {
  return state_->scan([](Connection& db) {
    // One statement, so one moment. All rows of blobs less those that a pending pin alone holds, which are few. Halves
    // of sizes are added up apart, where no sum can overflow.
    Statement row(db,
                  "WITH pending AS (SELECT b.size FROM (SELECT DISTINCT digest FROM pins WHERE pending) p"
                  " JOIN blobs b ON b.digest = p.digest WHERE NOT " IPCS_IS_HELD
                  "),"
                  " less(n, high, low) AS"
                  " (SELECT count(*), ifnull(sum(size >> 32), 0), ifnull(sum(size & 0xffffffff), 0) FROM pending)"
                  " SELECT count(b.digest) - less.n, ifnull(sum(b.size >> 32), 0) - less.high,"
                  " ifnull(sum(b.size & 0xffffffff), 0) - less.low, (SELECT count(*) FROM claims),"
                  " (SELECT count(DISTINCT digest) FROM pins WHERE NOT pending), (SELECT count(*) FROM ingests)"
                  " FROM less LEFT JOIN blobs b");
    row.step();
    const auto column = [&](int i) { return static_cast<uint64_t>(row.integer(i)); };
    return Totals{.blobs = column(0),
                  .bytes = (column(1) << 32) + column(2),
                  .claims = column(3),
                  .ingests = column(5),
                  .pins = column(4)};
  });
}

#undef IPCS_IS_HELD
#undef IPCS_IS_CLAIMED

}  // namespace ipcs::catalog
