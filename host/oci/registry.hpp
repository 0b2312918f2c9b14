// A registry by its HTTP API: one host, with everything its repositories share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "oci/authorizer.hpp"
#include "oci/http.hpp"
#include "oci/reference.hpp"
#include "oci/retry.hpp"

namespace ipcs::oci {

enum class Transport {
  kAuto,  // http to this machine itself unless a CA is given for it, else https
  kHttp,
  kHttps,
};

struct RegistryOptions {
  HttpOptions http;
  Transport transport = Transport::kAuto;
  RetryOptions retry;
  CredentialsFor credentials;             // empty: anonymous
  size_t ranges = 3;                      // of one large blob at once; 1 turns that off
  uint64_t range_size = 4 << 20;          // bytes; memory for a blob is `ranges` times this
  uint64_t ranges_from = 24 << 20;        // size of a blob that is read in ranges
  uint64_t whole_upload_up_to = 1 << 20;  // size of a blob that is sent in one request
};

// What one request to a registry is for, and how it is made.
struct RegistryRequest {
  HttpRequest http;
  std::vector<std::string> scopes;  // "repository:a/b:pull"
  std::string what;                 // begins messages: "registry localhost:5000: a/b: blob sha256:…"
  std::vector<int> accepted;        // statuses beyond 2xx that are answers, e.g. 404
  bool redirects = true;            // followed; for GET and HEAD only
};

// Any thread, several at once. Must outlive its repositories.
class Registry {
 public:
  // `host` as in Reference::host(). Throws Error kInvalidArgument.
  Registry(std::string host, RegistryOptions options);

  const std::string& host() const noexcept { return host_; }
  const RegistryOptions& options() const noexcept { return options_; }
  const Url& base() const noexcept { return base_; }
  Url url(const std::string& target) const;

  // Sends a request once: with authorization, again after a first 401, along up to 10 redirects. Authorization is sent
  // to the registry only, never along a redirect, and https never becomes http. Throws StatusError for what is not
  // accepted, else as HttpClient::send(), kFailedPrecondition for a redirect that is not followed.
  HttpResponse send(const RegistryRequest& request, const Call& call);

 private:
  HttpResponse send_once(const HttpRequest& request, const std::string& authorization, const std::string& what,
                         bool redirects, bool& elsewhere, const Call& call);

  const std::string host_;
  const RegistryOptions options_;
  const Url base_;
  HttpClient http_;
  Authorizer authorizer_;
};

}  // namespace ipcs::oci
