// Names of the files in a store's directory.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace ipcs::local {

inline constexpr const char* kBlobs = "blobs";            // blobs/<algorithm>/<hex>
inline constexpr const char* kQuarantine = "quarantine";  // quarantine/<algorithm>/<hex>.<n>
inline constexpr const char* kIngests = "ipcs-ingest";    // ipcs-ingest/<key>; containerd's own are in ingest/
inline constexpr const char* kJournal = "ipcs-journal";   // ipcs-journal.0, ipcs-journal.1
inline constexpr const char* kRestored = "ipcs-ingest/journal.restored";  // no ingest's key
inline constexpr const char* kStoreId = "ipcs-store-id";  // one line of 32 hex digits

struct Algorithm {
  const char* name;
  size_t digits;
};
inline constexpr std::array<Algorithm, 3> kAlgorithms = {{{"sha256", 64}, {"sha384", 96}, {"sha512", 128}}};

// Whether `hex` is `digits` lower-case hex digits.
bool is_hex(std::string_view hex, size_t digits) noexcept;

// Whether `name` can be the key of an ingest.
bool is_key(std::string_view name) noexcept;

// A digest cut in two. The parts point into the text that was parsed.
struct DigestParts {
  std::string_view algorithm;
  std::string_view hex;
};
// Throws Error kInvalidArgument naming `digest`. The host has checked it, but a file name hangs on it.
DigestParts split_digest(std::string_view digest);

std::string blob_directory(std::string_view algorithm);
std::string blob_path(const DigestParts& digest);
// Throws Error kInvalidArgument unless is_key(key).
std::string ingest_path(std::string_view key);

}  // namespace ipcs::local
