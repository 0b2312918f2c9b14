// Descriptors are shared out: blobs and ingests must leave some for connections, and those some for the catalog.
#pragma once

namespace ipcs::content {

// Who is to find descriptors left.
enum class Reserve {
  kForConnections,  // connections and the catalog: asked before a blob or an ingest is opened
  kForCatalog,      // the catalog and the backend's own work: asked before a connection is accepted
};

// Whether the next descriptor would be one of the reserve, at the present soft limit. The system gives out the lowest
// free number, so whoever asks first and takes no more leaves all numbers above the bound to the others, whatever the
// backend opens for a blob. Callers that ask at the same moment may each take one. [thread-safe]
bool descriptors_scarce(Reserve reserve) noexcept;

}  // namespace ipcs::content
