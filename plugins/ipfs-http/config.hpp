// The backend's configuration, from the JSON object that the host hands over.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace ipcs::ipfs_http {

struct Config {
  std::string state;            // directory of the index and of what is arriving
  std::string api;              // Kubo's address; empty: as `ipfs` itself finds it
  std::string auth;             // "bearer TOKEN" or "basic USER:PASSWORD"; empty: none
  std::string ca;               // file of authorities believed besides the system's, PEM; empty: none
  std::string prefix = "/ipcs";  // in MFS
  std::chrono::milliseconds timeout{60'000};  // of silence
  uint64_t cache = 64 << 20;    // bytes of blocks held in memory
  double full_at = 0.95;        // part of the state directory's file system from which on new ingests are refused
};

// Throws Error kInvalidArgument naming the key: unknown (with the nearest known one), missing, of a wrong type or value.
Config parse_config(std::string_view json);

// The value of the header Authorization; empty where `auth` is.
std::string authorization(const std::string& auth);

}  // namespace ipcs::ipfs_http
