// What an answer with a status that says no means, in one line.
#pragma once

#include <string>

#include "oci/http.hpp"
#include "oci/retry.hpp"

namespace ipcs::oci {

// Reads the answer's body for the registry's own words, of which at most 200 characters are shown:
// "WHAT: 404 Not Found: MANIFEST_UNKNOWN: manifest unknown".
StatusError failure_of(HttpResponse& response, const std::string& what);

}  // namespace ipcs::oci
