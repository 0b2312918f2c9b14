// Pins: the operator's and those of his tools.
#include "catalog/encoding.hpp"
#include "catalog/rows.hpp"
#include "catalog/state.hpp"

namespace ipcs::catalog {

void Catalog::pin(const Digest& digest, uint64_t size, int64_t now_ns, const std::string& note,
                  const std::string& owner) {
  const std::string key = digest_key(digest);
  const int64_t column = size_column(size);
  state_->write(Durable::kYes, [&](Connection& db) {
    if (!insert_blob(db, key, column, now_ns)) resize_blob(db, key, column);
    Statement(db,
              "INSERT INTO pins(digest, owner, created_ns, pending, note) VALUES(?, ?, ?, 0, ?)"
              " ON CONFLICT(digest, owner) DO UPDATE SET pending = 0, note = excluded.note")
        .blob(key)
        .text(owner_column(owner))
        .bind(now_ns)
        .blob(note)
        .run();
  });
}

void Catalog::begin_pin(const Digest& digest, uint64_t size, int64_t now_ns, const std::string& note,
                        const std::string& owner) {
  const std::string key = digest_key(digest);
  const int64_t column = size_column(size);
  // Durable also where a finished pin is: its own fsync may still be under way.
  state_->write(Durable::kYes, [&](Connection& db) {
    insert_blob(db, key, column, now_ns);
    Statement(db,
              "INSERT INTO pins(digest, owner, created_ns, pending, note) VALUES(?, ?, ?, 1, ?)"
              " ON CONFLICT(digest, owner) DO UPDATE SET note = excluded.note WHERE pending")
        .blob(key)
        .text(owner_column(owner))
        .bind(now_ns)
        .blob(note)
        .run();
  });
}

void Catalog::finish_pin(const Digest& digest) {
  const std::string key = digest_key(digest);
  // Not durable: what a power loss leaves pending is finished at the next open, as its blob is there.
  state_->write(Durable::kNo, [&](Connection& db) {
    Statement(db, "UPDATE pins SET pending = 0 WHERE digest = ? AND pending").blob(key).run();
  });
}

bool Catalog::cancel_pin(const Digest& digest) {
  const std::string key = digest_key(digest);
  return state_->write(Durable::kNo, [&](Connection& db) {
    return Statement(db, "DELETE FROM pins WHERE digest = ? AND pending").blob(key).run() > 0 &&
           state_->drop_unheld(key);
  });
}

std::vector<Digest> Catalog::pending_pins() const {
  return state_->scan([](Connection& db) {
    Statement row(db, "SELECT DISTINCT digest FROM pins WHERE pending ORDER BY digest");
    std::vector<Digest> pending;
    while (row.step()) pending.push_back(digest_of_key(row.bytes(0)));
    return pending;
  });
}

bool Catalog::unpin(const Digest& digest, const std::string& owner) {
  const std::string key = digest_key(digest);
  return state_->write(Durable::kYes, [&](Connection& db) {
    Statement row(db, "DELETE FROM pins WHERE digest = ? AND owner = ?");
    return row.blob(key).text(owner_column(owner)).run() > 0 && state_->drop_unheld(key);
  });
}

bool Catalog::unpin_all(const Digest& digest) {
  const std::string key = digest_key(digest);
  return state_->write(Durable::kYes, [&](Connection& db) {
    return Statement(db, "DELETE FROM pins WHERE digest = ?").blob(key).run() > 0 && state_->drop_unheld(key);
  });
}

bool Catalog::pinned(const Digest& digest) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) {
    return Statement(db, "SELECT 1 FROM pins WHERE digest = ? AND NOT pending").blob(key).step();
  });
}

bool Catalog::pinned(const Digest& digest, const std::string& owner) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) {
    Statement row(db, "SELECT 1 FROM pins WHERE digest = ? AND owner = ? AND NOT pending");
    return row.blob(key).text(owner_column(owner)).step();
  });
}

std::vector<std::string> Catalog::pin_owners(const Digest& digest) const {
  const std::string key = digest_key(digest);
  return state_->read([&](Connection& db) {
    Statement row(db, "SELECT owner FROM pins WHERE digest = ? AND NOT pending ORDER BY owner");
    row.blob(key);
    std::vector<std::string> owners;
    while (row.step()) owners.emplace_back(row.bytes(0));
    return owners;
  });
}

std::vector<Pin> Catalog::pins(const std::string& after, size_t limit) const {
  const std::string start = page_start(after);
  return state_->scan([&](Connection& db) {
    Statement row(db,
                  "WITH page(digest) AS"
                  " (SELECT DISTINCT digest FROM pins WHERE digest > ? AND NOT pending ORDER BY digest LIMIT ?)"
                  " SELECT p.digest, b.size, p.created_ns, p.note, p.owner FROM page"
                  " CROSS JOIN pins p ON p.digest = page.digest CROSS JOIN blobs b ON b.digest = p.digest"
                  " WHERE NOT p.pending ORDER BY p.digest, p.owner");
    row.blob(start).bind(page_limit(limit));
    std::vector<Pin> page;
    while (row.step()) {
      page.push_back({digest_of_key(row.bytes(0)), static_cast<uint64_t>(row.integer(1)), row.integer(2),
                      std::string(row.bytes(3)), std::string(row.bytes(4))});
    }
    return page;
  });
}

}  // namespace ipcs::catalog
