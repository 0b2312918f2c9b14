// How a registry is told who asks: nothing, a password, or tokens from the server that it names.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "oci/challenge.hpp"
#include "oci/credentials.hpp"
#include "oci/http.hpp"
#include "oci/retry.hpp"

namespace ipcs::oci {

// For one registry. Learns what it wants from its 401s; keeps a token for each scope until shortly before it expires,
// and fetches one at a time. Any thread, several at once.
//
// Secrets go to the registry itself and to the token server it names, over https; over http only when the registry is
// spoken to so too.
class Authorizer {
 public:
  // `base`: the registry. `http` must outlive this.
  Authorizer(HttpClient& http, Url base, CredentialsFor credentials, RetryOptions retry);

  // The value of Authorization for a request that needs `scopes` ("repository:a/b:pull"), "" while none is known to be
  // needed. Throws Error kUnauthenticated or kPermissionDenied when the token server refuses, others as
  // HttpClient::send().
  std::string header(const std::vector<std::string>& scopes, const Call& call);
  // Takes in a 401 to a request that was sent with `used`. True when another try with header() makes sense, false when
  // nothing better is known. Throws Error kFailedPrecondition for a realm that must not be used.
  bool challenged(const std::vector<std::string>& headers, const std::vector<std::string>& scopes,
                  const std::string& used, const Call& call);

 private:
  struct Token {
    std::string value;
    Call::Clock::time_point expires;
  };
  enum class Mode { kUnknown, kBasic, kBearer };

  std::string token(const std::vector<std::string>& scopes, const Call& call);
  Token fetch(const std::vector<std::string>& scopes, const Call& call);
  HttpRequest token_request(const std::vector<std::string>& scopes) const;
  const Credentials& credentials(const Call& call);

  HttpClient& http_;
  const Url base_;
  const CredentialsFor credentials_for_;
  const RetryOptions retry_;

  // One caller at a time, also while it fetches a token: others want the same one. Not a timed mutex, whose waits
  // ThreadSanitizer does not see.
  class Turn;
  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;
  Mode mode_ = Mode::kUnknown;
  Url realm_;
  std::string service_;
  std::optional<Credentials> credentials_;
  std::map<std::string, Token> tokens_;  // by scopes
};

}  // namespace ipcs::oci
