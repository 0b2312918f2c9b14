// Exponential back-off with jitter.
#include "oci/retry.hpp"

#include <algorithm>
#include <ctime>

namespace ipcs::oci {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool worth_another_try(const Error& error) noexcept {
  if (const auto* answer = dynamic_cast<const StatusError*>(&error)) {
    const int status = answer->status;
    return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
  }
  return error.code() == Code::kUnavailable;
}

std::optional<seconds> parse_retry_after(const std::string& header, std::chrono::system_clock::time_point now) {
  if (header.empty() || header.size() > 64) return std::nullopt;
  if (header.find_first_not_of("0123456789") == std::string::npos) {
    return seconds(header.size() > 9 ? 999'999'999 : std::stol(header));
  }
  std::tm date{};
  const char* end = ::strptime(header.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const auto at = std::chrono::system_clock::from_time_t(::timegm(&date));
  return std::max(seconds(0), std::chrono::ceil<seconds>(at - now));
}

void Backoff::wait(const Error& failure, const Call& call) {
  if (!worth_another_try(failure) || ++failures_ >= options_.attempts) throw;
  milliseconds due = options_.first * (1 << std::min(failures_ - 1, 16));
  due = std::min(due, options_.longest);
  milliseconds time = due / 2 + milliseconds(std::uniform_int_distribution<int64_t>(0, due.count() / 2)(random_));
  if (const auto* answer = dynamic_cast<const StatusError*>(&failure); answer != nullptr && answer->retry_after) {
    if (*answer->retry_after > options_.longest_asked) throw;
    time = std::max<milliseconds>(time, *answer->retry_after);
  }
  // Waiting for a deadline to pass would only hide why.
  if (call.deadline - Call::Clock::now() <= time) throw;
  try {
    call.sleep(time);
  } catch (const Error& over) {
    throw Error(over.code(), std::string(over.what()) + " after: " + failure.what());
  }
}

}  // namespace ipcs::oci
