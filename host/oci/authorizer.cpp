// Passwords and tokens for one registry.
#include "oci/authorizer.hpp"

#include <nlohmann/json.hpp>

#include "ipcs/error.hpp"
#include "oci/failure.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using Clock = Call::Clock;

constexpr uint64_t kMaxTokenAnswer = 1 << 20;
constexpr std::chrono::seconds kDefaultLife{60};  // of a token that says nothing, by the specification
constexpr int64_t kLongestLife = 24 * 3600;

std::string joined(const std::vector<std::string>& scopes) {
  std::string text;
  for (const std::string& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

std::string basic(const Credentials& credentials) {
  return "Basic " + base64_encode(credentials.username + ":" + credentials.password);
}

}  // namespace

class Authorizer::Turn {
 public:
  Turn(Authorizer& owner, const Call& call) : owner_(owner) {
    std::unique_lock lock(owner_.mutex_);
    while (owner_.taken_) {
      call.check();
      owner_.free_.wait_for(lock, std::chrono::milliseconds(50));
    }
    owner_.taken_ = true;
  }
  ~Turn() {
    {
      const std::lock_guard lock(owner_.mutex_);
      owner_.taken_ = false;
    }
    owner_.free_.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Authorizer& owner_;
};

Authorizer::Authorizer(HttpClient& http, Url base, CredentialsFor credentials, RetryOptions retry)
    : http_(http), base_(std::move(base)), credentials_for_(std::move(credentials)), retry_(retry) {}

const Credentials& Authorizer::credentials(const Call& call) {
  if (!credentials_) credentials_ = credentials_for_ ? credentials_for_(base_.authority(), call) : Credentials{};
  return *credentials_;
}

std::string Authorizer::header(const std::vector<std::string>& scopes, const Call& call) {
  const Turn turn(*this, call);
  if (mode_ == Mode::kBasic) return basic(credentials(call));
  if (mode_ == Mode::kBearer) return "Bearer " + token(scopes, call);
  return {};
}

bool Authorizer::challenged(const std::vector<std::string>& headers, const std::vector<std::string>& scopes,
                            const std::string& used, const Call& call) {
  const Turn turn(*this, call);
  for (const std::string& header : headers) {
    for (const Challenge& challenge : parse_challenges(header)) {
      if (challenge.scheme == "bearer" && !challenge.parameter("realm").empty()) {
        Url realm = Url::parse(challenge.parameter("realm"));
        const bool plain_allowed = !base_.secure() || is_loopback(realm.host);
        if (!realm.secure() && !plain_allowed) {
          throw Error(Code::kFailedPrecondition, "the token server " + realm.shown() + " is not asked without TLS");
        }
        realm_ = std::move(realm);
        service_ = challenge.parameter("service");
        mode_ = Mode::kBearer;
        // A token that was refused is of no use; one that another thread has fetched meanwhile is.
        const auto found = tokens_.find(joined(scopes));
        if (found != tokens_.end() && used == "Bearer " + found->second.value) tokens_.erase(found);
        return true;
      }
      if (challenge.scheme == "basic" && !used.starts_with("Basic ") && !credentials(call).username.empty()) {
        mode_ = Mode::kBasic;
        return true;
      }
    }
  }
  return false;
}

std::string Authorizer::token(const std::vector<std::string>& scopes, const Call& call) {
  if (!credentials(call).registry_token.empty()) return credentials(call).registry_token;
  const std::string key = joined(scopes);
  const auto found = tokens_.find(key);
  if (found != tokens_.end() && Clock::now() < found->second.expires) return found->second.value;
  return (tokens_[key] = fetch(scopes, call)).value;
}

HttpRequest Authorizer::token_request(const std::vector<std::string>& scopes) const {
  HttpRequest request;
  request.url = realm_;
  request.url.user_info.clear();
  if (!credentials_->identity_token.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body =
        "grant_type=refresh_token&client_id=ipcs&refresh_token=" + percent_encode(credentials_->identity_token) +
        "&service=" + percent_encode(service_) + "&scope=" + percent_encode(joined(scopes));
    return request;
  }
  std::string query;
  if (!service_.empty()) query += "&service=" + percent_encode(service_);
  for (const std::string& scope : scopes) query += "&scope=" + percent_encode(scope);
  if (!credentials_->username.empty()) {
    query += "&account=" + percent_encode(credentials_->username);
    request.headers.emplace_back("Authorization", basic(*credentials_));
  }
  if (!query.empty()) {
    if (request.url.target.find('?') == std::string::npos) query[0] = '?';
    request.url.target += query;
  }
  return request;
}

Authorizer::Token Authorizer::fetch(const std::vector<std::string>& scopes, const Call& call) {
  const HttpRequest request = token_request(scopes);
  const std::string what = "token server " + realm_.shown();
  return with_retries(retry_, call, [&] {
    HttpResponse response = http_.send(request, call);
    // A token server that sends us elsewhere would get the secret there: it is not followed.
    if (response.status() != 200) throw failure_of(response, what);
    const nlohmann::json answer = nlohmann::json::parse(response.text(kMaxTokenAnswer), nullptr, false);
    const auto text = [&](const char* key) {
      return answer.is_object() && answer.contains(key) && answer[key].is_string() ? answer[key].get<std::string>()
                                                                                   : "";
    };
    Token token{text("token").empty() ? text("access_token") : text("token"), {}};
    if (token.value.empty() || one_line(token.value, token.value.size()) != token.value) {
      throw Error(Code::kUnauthenticated, what + ": its answer has no token");
    }
    auto life = kDefaultLife;
    if (answer.contains("expires_in") && answer["expires_in"].is_number_integer()) {
      life = std::chrono::seconds(std::clamp<int64_t>(answer["expires_in"].get<int64_t>(), 0, kLongestLife));
    }
    // A tenth early, so that it is good for the request that is about to be made.
    token.expires = Clock::now() + life * 9 / 10;
    return token;
  });
}

}  // namespace ipcs::oci
