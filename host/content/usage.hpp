// How many bytes each holder keeps alive.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "content/content.hpp"

namespace ipcs::content {

struct ClientUsage {
  Amount claims;
  Amount ingests;
};

// Blobs count under each of their holders; total and shared count them once.
struct Usage {
  Amount total;  // held by anyone
  Amount pinned;
  std::map<std::string, ClientUsage> clients;  // by name
  Amount shared;                               // more than one holder
  Amount ingests;
};

// Adds up the catalog. The clients are the `configured` ones, also those that hold nothing, and whoever else has claims
// or ingests: clients whose sockets are no longer configured. Takes no lock: where blobs come and go meanwhile, the sums
// are of no single moment.
Usage usage(const Call& call, Content& content, const std::vector<std::string>& configured);

// Of these the ones that are not configured, by name. Adds up the catalog only where there are any.
std::map<std::string, ClientUsage> former_clients(const Call& call, Content& content,
                                                  const std::vector<std::string>& configured);

// Blobs that somebody holds and that can't be served.
struct Losses {
  uint64_t missing = 0;  // no bytes are stored
  uint64_t damaged = 0;  // more or fewer bytes are stored than were committed
};

// Asks the backend for the size of every held blob; reads no bytes.
Losses losses(const Call& call, Content& content);

}  // namespace ipcs::content
