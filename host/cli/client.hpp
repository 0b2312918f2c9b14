// A client of ipcsd as several verbs show it.
#pragma once

#include "cli/connection.hpp"
#include "cli/output.hpp"

namespace ipcs::cli {

// An element of `status` and `client ls`.
Json client_json(const admin_api::Client& client);

}  // namespace ipcs::cli
