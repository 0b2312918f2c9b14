// The schema of the catalog file, its version, and the way from older versions to this one.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "catalog/sqlite.hpp"

namespace ipcs::catalog {

// "ipcs", in the file header's application_id.
inline constexpr int64_t kApplicationId = 0x69706373;

// Brings a file from version `to` - 1 to version `to` (PRAGMA user_version).
struct SchemaStep {
  int64_t to;
  std::function<void(Connection&)> apply;
};

// The steps from an empty file to this program's schema, oldest first, without gaps.
std::span<const SchemaStep> schema_steps();

// Brings the file to the version of the last of `steps`. Returns true when it was empty before. Runs the missing steps
// and sets the version in one transaction, before which a file that was not empty is copied to <path>.v<N>.bak, N being
// its version; a copy that is there already is replaced. Puts the file into WAL mode.
// Throws Error kFailedPrecondition when the version is newer than the last step's or the file is another program's,
// kDataLoss when it is damaged or no database; the file is as before then.
bool migrate(Connection& connection, const std::string& vfs, std::span<const SchemaStep> steps);

}  // namespace ipcs::catalog
