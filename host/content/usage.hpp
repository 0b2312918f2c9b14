// How many bytes each holder keeps alive.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "content/content.hpp"

namespace ipcs::content {

// Blobs count under each of their holders; total and shared count them once.
struct Usage {
  Amount total;  // held by anyone
  Amount pinned;
  std::map<std::string, Amount> clients;  // by name
  Amount shared;                          // more than one holder
  Amount ingests;
};

// Adds up the catalog. `clients` are those to ask for; what clients that are no longer configured hold is in the total
// only. Takes no lock: where blobs come and go meanwhile, the sums are of no single moment.
Usage usage(const Call& call, Content& content, const std::vector<std::string>& clients);

// Blobs that somebody holds and that can't be served.
struct Losses {
  uint64_t missing = 0;  // no bytes are stored
  uint64_t damaged = 0;  // more or fewer bytes are stored than were committed
};

// Asks the backend for the size of every held blob; reads no bytes.
Losses losses(const Call& call, Content& content);

}  // namespace ipcs::content
