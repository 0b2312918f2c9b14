// One HTTP/1.1 connection to Kubo, on a socket whose waits end with the call they are for.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kubo/address.hpp"
#include "kubo/patience.hpp"

namespace ipcs::kubo {

struct Tls;

// An answer's first part.
struct Head {
  int status = 0;
  std::string reason;
  std::string content_type;
};

// A request in pieces, which are sent one behind the other without being copied.
using Pieces = std::vector<std::span<const uint8_t>>;

// One thread at a time. Functions throw Error: kFailedPrecondition when Kubo can't be reached, cuts the connection or
// says nothing for too long, kInternal when it doesn't speak HTTP, and what Patience throws.
class Connection {
 public:
  // `tls` is that of the address, null where it has none.
  static std::unique_ptr<Connection> open(const Address& address, std::shared_ptr<const Tls> tls,
                                          const Patience& patience);
  virtual ~Connection() = default;

  // Whether another request may follow: the last answer was read to its end, and Kubo has neither closed nor sent more.
  virtual bool reusable() noexcept = 0;
  // Sends a request's head and body. Stops early when Kubo has answered before it took all.
  virtual void send(const Patience& patience, const std::string& target, const std::map<std::string, std::string>& headers,
                    const Pieces& body) = 0;
  virtual Head receive(const Patience& patience) = 0;
  // The next bytes of the answer's body, 0: its end. Then trailer() is complete.
  virtual size_t read(const Patience& patience, std::span<uint8_t> out) = 0;
  // A field that came behind the body, or empty.
  virtual std::string trailer(const std::string& lower_case_name) const = 0;
  // Whether anything of an answer to the last request has come.
  virtual bool answered() const noexcept = 0;
};

}  // namespace ipcs::kubo
