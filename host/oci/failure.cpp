// HTTP statuses as codes, and the errors of the distribution specification as text.
#include "oci/failure.hpp"

#include <nlohmann/json.hpp>

#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

constexpr size_t kMaxBody = 16 << 10;
constexpr size_t kMaxShown = 200;

Code code_of(int status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
    case 410:
      return Code::kNotFound;
    case 416:
      return Code::kOutOfRange;
    case 405:
    case 501:
      return Code::kUnimplemented;
    case 429:
      return Code::kResourceExhausted;
    case 408:
      return Code::kUnavailable;
    default:
      return status >= 500 ? Code::kUnavailable : Code::kFailedPrecondition;
  }
}

std::string text_of(const nlohmann::json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : "";
}

// The first of {"errors": [{"code": …, "message": …}]}; OAuth's and other servers' forms too.
std::string words_of(const std::string& body) {
  const nlohmann::json answer = nlohmann::json::parse(body, nullptr, false);
  if (!answer.is_object()) return {};
  if (answer.contains("errors") && answer["errors"].is_array() && !answer["errors"].empty()) {
    const nlohmann::json& first = answer["errors"][0];
    const std::string code = text_of(first, "code"), message = text_of(first, "message");
    return code + (code.empty() || message.empty() ? "" : ": ") + message;
  }
  for (const char* key : {"error_description", "details", "message", "error"}) {
    if (std::string text = text_of(answer, key); !text.empty()) return text;
  }
  return {};
}

}  // namespace

StatusError failure_of(HttpResponse& response, const std::string& what) {
  const int status = response.status();
  std::string message = what + ": " + std::to_string(status) + " " + one_line(response.reason(), 40);
  const std::string words = words_of(response.excerpt(kMaxBody));
  if (!words.empty()) message += ": " + one_line(words, kMaxShown);
  const auto wait = parse_retry_after(response.header("Retry-After"), std::chrono::system_clock::now());
  return {code_of(status), message, status, wait};
}

}  // namespace ipcs::oci
