// An authority of a test's own, and servers' certificates that it signed.
#pragma once

#include <Poco/Net/Context.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "host/oci/temporary.hpp"

namespace ipcs::oci::test {

using Poco::Net::Context;

inline void run(const std::string& command) {
  const int status = std::system((command + " 2>/dev/null").c_str());
  if (status != 0) throw std::runtime_error(command);
}

// An authority and what it signed, made by the openssl command.
struct Authority {
  Authority() {
    run("cd " + path() +
        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "
        "ca.key -out ca.crt");
    sign("address", "IP:127.0.0.1");
    sign("name", "DNS:localhost");
    sign("other", "DNS:other.example");
    sign("client", "DNS:client");
  }
  std::string path() const { return temporary.path; }
  std::string file(const std::string& name) const { return temporary.path / name; }
  void sign(const std::string& name, const std::string& alternative) const {
    run("cd " + path() + " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
        " -keyout " + name + ".key -out " + name + ".csr && printf 'subjectAltName=" + alternative + "' > " + name +
        ".ext && openssl x509 -req -in " + name + ".csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile " +
        name + ".ext -out " + name + ".cert");
  }
  Context::Ptr server(const std::string& name, bool wants_certificate = false) const {
    Context::Ptr context(new Context(Context::TLS_SERVER_USE, file(name + ".key"), file(name + ".cert"), file("ca.crt"),
                                     Context::VERIFY_NONE));
    if (wants_certificate)
      SSL_CTX_set_verify(context->sslContext(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return context;
  }
  Temporary temporary;
};

inline const Authority& authority() {
  static const Authority kAuthority;
  return kAuthority;
}

}  // namespace ipcs::oci::test
