// Ingests: what is arriving under which ref.
#include "catalog/rows.hpp"
#include "catalog/state.hpp"

namespace ipcs::catalog {
namespace {

// Columns: key, client, ref, expected, total, started_ns, updated_ns.
Ingest ingest_of(const Statement& row) {
  return {std::string(row.bytes(0)),
          std::string(row.bytes(1)),
          std::string(row.bytes(2)),
          std::string(row.bytes(3)),
          static_cast<uint64_t>(row.integer(4)),
          row.integer(5),
          row.integer(6)};
}

}  // namespace

std::optional<Ingest> Catalog::find_ingest(const std::string& client, const std::string& ref) const {
  return state_->read([&](Connection& db) -> std::optional<Ingest> {
    Statement row(db,
                  "SELECT key, client, ref, expected, total, started_ns, updated_ns FROM ingests"
                  " WHERE client = ? AND ref = ?");
    if (!row.text(client).blob(ref).step()) return std::nullopt;
    return ingest_of(row);
  });
}

void Catalog::put_ingest(const Ingest& ingest) {
  const int64_t total = size_column(ingest.total);
  state_->write(Durable::kNo, [&](Connection& db) {
    Statement taken(db, "SELECT 1 FROM ingests WHERE key = ? AND NOT (client = ? AND ref = ?)");
    if (taken.text(ingest.key).text(ingest.client).blob(ingest.ref).step()) {
      throw Error(Code::kAlreadyExists, "catalog: another ingest has the key " + ingest.key);
    }
    Statement(db,
              "INSERT INTO ingests(key, client, ref, expected, total, started_ns, updated_ns) VALUES(?,?,?,?,?,?,?)"
              " ON CONFLICT(client, ref) DO UPDATE SET key = excluded.key, expected = excluded.expected,"
              " total = excluded.total, started_ns = excluded.started_ns, updated_ns = excluded.updated_ns")
        .text(ingest.key)
        .text(ingest.client)
        .blob(ingest.ref)
        .text(ingest.expected)
        .bind(total)
        .bind(ingest.started_ns)
        .bind(ingest.updated_ns)
        .run();
  });
}

void Catalog::touch_ingest(const std::string& key, int64_t updated_ns) {
  state_->write(Durable::kNo, [&](Connection& db) {
    Statement(db, "UPDATE ingests SET updated_ns = ? WHERE key = ?").bind(updated_ns).text(key).run();
  });
}

void Catalog::drop_ingest(const std::string& key) {
  state_->write(Durable::kNo,
                [&](Connection& db) { Statement(db, "DELETE FROM ingests WHERE key = ?").text(key).run(); });
}

std::vector<Ingest> Catalog::ingests(const std::string& client) const {
  return state_->scan([&](Connection& db) {
    Statement row(db, client.empty() ? "SELECT key, client, ref, expected, total, started_ns, updated_ns FROM ingests"
                                       " ORDER BY started_ns, key"
                                     : "SELECT key, client, ref, expected, total, started_ns, updated_ns FROM ingests"
                                       " WHERE client = ? ORDER BY started_ns, key");
    if (!client.empty()) row.text(client);
    std::vector<Ingest> found;
    while (row.step()) found.push_back(ingest_of(row));
    return found;
  });
}

}  // namespace ipcs::catalog
