// Poco sockets that wait with poll(), so that a wait can end for a call's sake.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <exception>

#include "kubo/address.hpp"
#include "kubo/patience.hpp"

namespace ipcs::kubo {

// What a socket waits with, and what went wrong: Poco's streams swallow exceptions that pass through them.
struct Waiting {
  const Patience* patience = nullptr;  // of the call that runs
  bool received = false;               // any byte since it was set to false
  std::exception_ptr failure;
};

// A connected socket. `waiting` outlives it. Throws Error kFailedPrecondition when there is nobody.
Poco::Net::StreamSocket connect_patiently(const Address& address, Waiting& waiting);

}  // namespace ipcs::kubo
