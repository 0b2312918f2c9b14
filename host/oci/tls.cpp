// TLS by Poco, verification by OpenSSL itself: Poco's own check of names resolves them, and its callback is a global
// one.
#include "oci/tls.hpp"

#include <Poco/Net/IPAddress.h>
#include <Poco/Net/NetException.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <vector>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

namespace fs = std::filesystem;

// Why this thread's handshake refused the certificate; OpenSSL's error queue only says that it did.
thread_local std::string refused_because;

int note_reason(int ok, X509_STORE_CTX* store) {
  if (ok == 0) refused_because = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
  return ok;
}

void add_authorities(SSL_CTX* context, const std::string& file) {
  if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) {
    throw Error(Code::kInvalidArgument, file + ": no certificates of authorities in PEM");
  }
}

void read_certs(SSL_CTX* context, const std::string& directory) {
  if (directory.empty()) return;
  std::vector<fs::path> own;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".crt") add_authorities(context, entry.path());
    if (entry.path().extension() == ".cert") own.push_back(entry.path());
  }
  for (const fs::path& path : own) {
    const fs::path key = fs::path(path).replace_extension(".key");
    if (SSL_CTX_use_certificate_chain_file(context, path.c_str()) != 1) {
      throw Error(Code::kInvalidArgument, path.string() + ": no certificate in PEM");
    }
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
      throw Error(Code::kInvalidArgument, key.string() + ": not the private key of " + path.filename().string());
    }
  }
}

}  // namespace

std::string certs_of(const TlsOptions& options, const std::string& authority) {
  if (options.certs_dir.empty()) return {};
  const fs::path directory = fs::path(options.certs_dir) / authority;
  std::error_code error;
  return fs::is_directory(directory, error) ? directory.string() : "";
}

Poco::Net::Context::Ptr tls_context(const TlsOptions& options, const std::string& host, const std::string& authority) {
  using Poco::Net::Context;
  Context::Ptr context(new Context(Context::TLS_CLIENT_USE, "", Context::VERIFY_RELAXED, 9, true, "DEFAULT:!aNULL"));
  SSL_CTX* ssl = context->sslContext();
  context->enableExtendedCertificateVerification(false);
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, note_reason);
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(ssl);
  Poco::Net::IPAddress address;
  const bool is_address = Poco::Net::IPAddress::tryParse(host, address);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const int named = is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str())
                               : X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size());
  if (named != 1) throw Error(Code::kInternal, "OpenSSL: the name " + one_line(host) + " can't be checked");
  if (!options.ca_file.empty()) add_authorities(ssl, options.ca_file);
  read_certs(ssl, certs_of(options, authority));
  return context;
}

Poco::Net::SecureStreamSocket tls_handshake(const Poco::Net::StreamSocket& socket, const std::string& host,
                                            const Poco::Net::Context::Ptr& context) {
  Poco::Net::IPAddress address;
  const bool is_address = Poco::Net::IPAddress::tryParse(host, address);
  refused_because.clear();
  try {
    // Server name indication is for names only.
    Poco::Net::SecureStreamSocket secure =
        Poco::Net::SecureStreamSocket::attach(socket, is_address ? "" : host, context);
    secure.completeHandshake();
    return secure;
  } catch (const Poco::Exception& error) {
    if (!refused_because.empty()) {
      throw Error(Code::kFailedPrecondition, "TLS: the certificate is refused: " + refused_because);
    }
    throw Error(Code::kUnavailable, "TLS: " + one_line(error.displayText()));
  }
}

}  // namespace ipcs::oci
