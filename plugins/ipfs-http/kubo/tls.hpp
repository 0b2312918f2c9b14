// TLS to Kubo: whom we believe, and what is wrong with a certificate that is refused.
#pragma once

#include <Poco/Net/Context.h>
#include <Poco/Net/SSLException.h>

#include <memory>
#include <string>

#include "ipcs/error.hpp"
#include "kubo/address.hpp"

namespace ipcs::kubo {

// How connections to one address are made: its certificate must be valid, for that name, and of an authority that the
// system or `ca_file` knows. Immutable; any thread.
struct Tls {
  Poco::Net::Context::Ptr context;
  std::string host;
  std::string ca_file;  // PEM; empty: the system's authorities alone
};

// Nothing for an address without TLS. Throws Error kInvalidArgument as check_authorities() does.
std::shared_ptr<const Tls> make_tls(const Address& address, const std::string& ca_file);

// Throws Error kInvalidArgument, naming the file, unless it can be read and has certificates in PEM.
void check_authorities(const std::string& ca_file);

// What a handshake that ended with `failure` on this thread means for the operator: kFailedPrecondition, and what mends
// it where that is known.
Error tls_error(const Tls& tls, const Poco::Net::SSLException& failure);

}  // namespace ipcs::kubo
