// Exponential back-off with jitter.
#include "oci/retry.hpp"

#include <Poco/DateTime.h>
#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeParser.h>

#include <algorithm>

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
  Poco::DateTime date;
  int zone = 0;
  if (!Poco::DateTimeParser::tryParse(Poco::DateTimeFormat::HTTP_FORMAT, header, date, zone)) return std::nullopt;
  const auto at = std::chrono::system_clock::time_point(std::chrono::microseconds(date.timestamp().epochMicroseconds()));
  return std::max(seconds(0), std::chrono::ceil<seconds>(at - now));
}

void Backoff::wait(const Error& failure, const Call& call) {
  call.check();
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
  call.sleep(time);
}

}  // namespace ipcs::oci
