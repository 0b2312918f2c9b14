// Statements on blob rows that several of the catalog's functions share.
#pragma once

#include <algorithm>
#include <limits>
#include <string>

#include "catalog/encoding.hpp"
#include "catalog/sqlite.hpp"

namespace ipcs::catalog {

inline bool is_operator(const std::string& client) noexcept {
  return client.empty() || client == kOperator;
}

// The owner of a pin as a column.
inline std::string owner_column(const std::string& owner) {
  return owner.empty() ? std::string(kOperator) : owner;
}

// A size as a column. Throws Error kInvalidArgument when it does not fit.
inline int64_t size_column(uint64_t size) {
  if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    throw Error(Code::kInvalidArgument, "catalog: " + std::to_string(size) + " bytes are more than any blob has");
  }
  return static_cast<int64_t>(size);
}

// The digest key behind which a page begins; the empty key is before all others.
inline std::string page_start(const std::string& after) {
  return after.empty() ? std::string() : digest_key(Digest::parse(after));
}

// A page size as a LIMIT.
inline int64_t page_limit(size_t limit) {
  return static_cast<int64_t>(std::min<size_t>(limit, std::numeric_limits<int32_t>::max()));
}

// Makes the blob's row. Returns false when there is one.
inline bool insert_blob(Connection& db, const std::string& key, int64_t size, int64_t now_ns) {
  return Statement(db,
                   "INSERT INTO blobs(digest, size, created_ns, updated_ns) VALUES(?1, ?2, ?3, ?3)"
                   " ON CONFLICT(digest) DO NOTHING")
             .blob(key)
             .bind(size)
             .bind(now_ns)
             .run() > 0;
}

// Gives the blob's row this size. Returns whether it had another.
inline bool resize_blob(Connection& db, const std::string& key, int64_t size) {
  return Statement(db, "UPDATE blobs SET size = ?1 WHERE digest = ?2 AND size <> ?1").bind(size).blob(key).run() > 0;
}

// Drops the blob's row when no claim and no pin, pending or not, holds it. Returns whether it did.
inline bool drop_unheld(Connection& db, const std::string& key) {
  return Statement(
             db,
             "DELETE FROM blobs WHERE digest = ?1 AND NOT EXISTS(SELECT 1 FROM pins WHERE digest = ?1)"
             " AND NOT EXISTS(SELECT 1 FROM clients n CROSS JOIN claims c ON c.client = n.name AND c.digest = ?1)")
             .blob(key)
             .run() > 0;
}

}  // namespace ipcs::catalog
