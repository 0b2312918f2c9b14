// Verification is OpenSSL's own: Poco's check of names resolves them, and says less.
#include "kubo/tls.hpp"

#include <Poco/Net/IPAddress.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "kubo/client.hpp"

namespace ipcs::kubo {
namespace {

// Why this thread's last handshake refused a certificate; OpenSSL's error queue only says that it did.
thread_local int refused_because = X509_V_OK;

int note_reason(int ok, X509_STORE_CTX* store) {
  if (ok == 0) refused_because = X509_STORE_CTX_get_error(store);
  return ok;
}

bool add_authorities(SSL_CTX* context, const std::string& file) {
  const bool added = SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) == 1;
  ERR_clear_error();
  return added;
}

// What the operator can do about it; empty where that can't be known.
std::string mend(const Tls& tls, int reason) {
  switch (reason) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "; it is not for \"" + tls.host + "\": the key \"api\" must have a name that it is for";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return tls.ca_file.empty() ? "; the key \"ca\" can name a file with the certificate of its authority"
                                 : "; its authority is not in " + tls.ca_file + " (key \"ca\")";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "; give Kubo's server a new one, or set the clock right";
    default:
      return "";
  }
}

}  // namespace

void check_authorities(const std::string& ca_file) {
  if (::access(ca_file.c_str(), R_OK) != 0) throw Error(Code::kInvalidArgument, ca_file + ": " + std::strerror(errno));
  std::error_code error;
  if (std::filesystem::is_directory(ca_file, error)) throw Error(Code::kInvalidArgument, ca_file + ": is a directory");
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  const bool sound = context != nullptr && add_authorities(context, ca_file);
  SSL_CTX_free(context);
  if (!sound) throw Error(Code::kInvalidArgument, ca_file + ": has no certificates in PEM");
}

std::shared_ptr<const Tls> make_tls(const Address& address, const std::string& ca_file) {
  if (!address.tls) return nullptr;
  using Poco::Net::Context;
  if (!ca_file.empty()) check_authorities(ca_file);
  auto tls = std::make_shared<Tls>();
  tls->host = address.host;
  tls->ca_file = ca_file;
  tls->context = new Context(Context::TLS_CLIENT_USE, "", Context::VERIFY_RELAXED, 9, true, "DEFAULT:!aNULL");
  tls->context->enableExtendedCertificateVerification(false);
  SSL_CTX* context = tls->context->sslContext();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_reason);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  Poco::Net::IPAddress number;
  const int named = Poco::Net::IPAddress::tryParse(address.host, number)
                        ? X509_VERIFY_PARAM_set1_ip_asc(param, address.host.c_str())
                        : X509_VERIFY_PARAM_set1_host(param, address.host.c_str(), address.host.size());
  if (named != 1 || (!ca_file.empty() && !add_authorities(context, ca_file)))
    throw Error(Code::kInternal, "OpenSSL takes neither the name \"" + address.host + "\" nor its authorities");
  return tls;
}

Error tls_error(const Tls& tls, const Poco::Net::SSLException& failure) {
  const int reason = std::exchange(refused_because, X509_V_OK);
  if (reason != X509_V_OK)
    return Error(Code::kFailedPrecondition, std::string("its certificate is refused: ") +
                                                X509_verify_cert_error_string(reason) + mend(tls, reason));
  const std::string text = failure.message();
  if (text.find("wrong version number") != std::string::npos)
    return Error(Code::kFailedPrecondition, "it does not speak TLS; is its address http instead of https?");
  return Error(Code::kFailedPrecondition, "TLS: " + one_line(text.empty() ? failure.displayText() : text));
}

}  // namespace ipcs::kubo
