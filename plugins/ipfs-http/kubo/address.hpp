// Where Kubo's RPC API listens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ipcs::kubo {

// Immutable value.
struct Address {
  enum class Kind { kTcp, kUnix };

  Kind kind = Kind::kTcp;
  std::string host;    // name or number, without brackets; empty for kUnix
  uint16_t port = 0;
  std::string path;    // of the socket, for kUnix
  bool tls = false;
  std::string prefix;  // of a URL's path, before /api/v0; empty or beginning with '/', without one at its end
  std::string shown;   // as it was written, for messages; without user and password

  std::string host_header() const;
};

// Reads a multiaddr (/ip4/…/tcp/…, /ip6, /dns, /dns4, /dns6 and /unix/…; /http or /https may follow a port) or a URL
// (http, https). Throws Error kInvalidArgument that names the text and what is wrong.
Address parse_address(std::string_view text);

// What the operator's environment says: the file `api` of the repository $IPFS_PATH or ~/.ipfs, as `ipfs` itself
// looks for a running daemon, otherwise Kubo's own default /ip4/127.0.0.1/tcp/5001. Reads a file, connects to nothing.
std::string default_address();

}  // namespace ipcs::kubo
