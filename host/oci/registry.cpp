// Authorization and redirects of a registry's requests.
#include "oci/registry.hpp"

#include <algorithm>

#include "ipcs/error.hpp"
#include "oci/failure.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr int kMaxRedirects = 10;

Url base_of(const std::string& host, const RegistryOptions& options) {
  const Url plain = Url::parse("http://" + host);
  if (options.transport == Transport::kHttp) return plain;
  const Url secure = Url::parse("https://" + host);
  const bool has_ca = !options.http.tls.ca_file.empty() || !certs_of(options.http.tls, host).empty();
  const bool use_plain = options.transport == Transport::kAuto && is_loopback(plain.host) && !has_ca;
  return use_plain ? plain : secure;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Errors of the connection know the host, not what it was wanted for.
[[noreturn]] void rethrow_for(const std::string& what) {
  try {
    throw;
  } catch (const StatusError& error) {
    if (std::string_view(error.what()).starts_with(what)) throw;
    throw StatusError(error.code(), what + ": " + error.what(), error.status, error.retry_after);
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with(what)) throw;
    throw Error(error.code(), what + ": " + error.what());
  }
}

}  // namespace

Registry::Registry(std::string host, RegistryOptions options)
    : host_(std::move(host)),
      options_(std::move(options)),
      base_(base_of(host_, options_)),
      http_(options_.http),
      authorizer_(http_, base_, options_.credentials, options_.retry) {}

Url Registry::url(const std::string& target) const {
  Url url = base_;
  url.target = target;
  return url;
}

HttpResponse Registry::send_once(const HttpRequest& original, const std::string& authorization, const std::string& what,
                                 bool redirects, bool& elsewhere, const Call& call) {
  HttpRequest request = original;
  elsewhere = !request.url.same_origin(base_);
  for (int count = 0;; ++count) {
    request.headers = original.headers;
    if (!elsewhere && !authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    HttpResponse response = http_.send(request, call);
    if (!redirects || !is_redirect(response.status())) return response;

    if (count == kMaxRedirects) throw Error(Code::kFailedPrecondition, what + ": more than 10 redirects");
    const std::string location = response.header("Location");
    Url next;
    try {
      next = request.url.resolve(location);
    } catch (const Error& error) {
      throw Error(Code::kFailedPrecondition, what + ": a redirect: " + error.what());
    }
    if (request.url.secure() && !next.secure()) {
      throw Error(Code::kFailedPrecondition, what + ": a redirect from https to " + next.shown());
    }
    next.user_info.clear();
    elsewhere = elsewhere || !next.same_origin(base_);  // and never again ours
    request.url = std::move(next);
    response.excerpt(4096);  // most are short: the connection can be kept
  }
}

HttpResponse Registry::send(const RegistryRequest& request, const Call& call) {
  const bool redirects = request.redirects && (request.http.method == "GET" || request.http.method == "HEAD");
  try {
    for (bool again = false;; again = true) {
      const std::string authorization = authorizer_.header(request.scopes, call);
      bool elsewhere = false;
      HttpResponse response = send_once(request.http, authorization, request.what, redirects, elsewhere, call);
      const int status = response.status();
      if (status / 100 == 2) return response;
      if (std::find(request.accepted.begin(), request.accepted.end(), status) != request.accepted.end())
        return response;
      if (status == 401 && !again && !elsewhere) {
        if (authorizer_.challenged(response.headers("WWW-Authenticate"), request.scopes, authorization, call)) {
          response.excerpt(4096);
          continue;
        }
      }
      throw failure_of(response, request.what);
    }
  } catch (const Error&) {
    rethrow_for(request.what);
  }
}

}  // namespace ipcs::oci
