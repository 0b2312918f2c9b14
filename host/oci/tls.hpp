// TLS to a registry: which authorities are believed, and which certificate is shown.
#pragma once

#include <Poco/Net/Context.h>
#include <Poco/Net/SecureStreamSocket.h>

#include <string>

namespace ipcs::oci {

struct TlsOptions {
  std::string ca_file;  // believed in addition to the system's, for every host
  // Holds a directory for each "host:port" or "host", as dockerd reads it: *.crt are authorities to believe in
  // addition, NAME.cert with NAME.key what we show. Empty: none.
  std::string certs_dir = "/etc/docker/certs.d";
};

// The directory below options.certs_dir that is meant for a registry ("host:port" or "host"), "" when there is none.
std::string certs_of(const TlsOptions& options, const std::string& authority);

// A context for connections to `host` alone: the certificate must be valid, made by a known authority, and for that
// name or address. Throws Error kInvalidArgument naming a file that is not usable.
Poco::Net::Context::Ptr tls_context(const TlsOptions& options, const std::string& host, const std::string& authority);

// Makes the handshake on a connected socket. Throws Error kUnavailable, with the reason where the certificate was
// refused (then kFailedPrecondition, since trying again does not help).
Poco::Net::SecureStreamSocket tls_handshake(const Poco::Net::StreamSocket& socket, const std::string& host,
                                            const Poco::Net::Context::Ptr& context);

}  // namespace ipcs::oci
