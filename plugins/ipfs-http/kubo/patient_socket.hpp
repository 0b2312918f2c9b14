// Poco sockets that wait with poll(), so that a wait can end for a call's sake.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <exception>

#include "kubo/address.hpp"
#include "kubo/patience.hpp"
#include "kubo/tls.hpp"

namespace ipcs::kubo {

// What a socket waits with, and what went wrong: Poco's streams swallow exceptions that pass through them.
struct Waiting {
  const Patience* patience = nullptr;  // of the call that runs
  bool received = false;               // any byte since it was set to false
  std::exception_ptr failure;
  bool tls_stands = false;  // a handshake has succeeded
  bool tls_failed = false;  // it has not: whatever comes on that connection later says less
};

// A connected socket, with TLS if `tls` is given. That and `waiting` outlive it. Throws Error kFailedPrecondition when
// there is nobody; a certificate that is refused may come up in the first use.
Poco::Net::StreamSocket connect_patiently(const Address& address, const Tls* tls, Waiting& waiting);

}  // namespace ipcs::kubo
