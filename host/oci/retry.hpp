// When a request is worth another try, and how long to wait before it.
#pragma once

#include <chrono>
#include <optional>
#include <random>
#include <string>

#include "ipcs/error.hpp"
#include "oci/call.hpp"

namespace ipcs::oci {

struct RetryOptions {
  int attempts = 6;                      // in all
  std::chrono::milliseconds first{500};  // the first wait; each next one is twice as long
  std::chrono::milliseconds longest{15'000};
  std::chrono::seconds longest_asked{120};  // a server that asks for a longer wait is not waited for
};

// An answer with a status that says no.
class StatusError : public Error {
 public:
  StatusError(Code code, const std::string& message, int http_status, std::optional<std::chrono::seconds> wait)
      : Error(code, message), status(http_status), retry_after(wait) {}
  const int status;
  const std::optional<std::chrono::seconds> retry_after;
};

// True for connections that failed and for 408, 429 and 5xx (not 501, 505).
bool worth_another_try(const Error& error) noexcept;

// The seconds of a Retry-After header, which has a number or a date; nothing for anything else.
std::optional<std::chrono::seconds> parse_retry_after(const std::string& header,
                                                      std::chrono::system_clock::time_point now);

// Counts the attempts at one thing.
class Backoff {
 public:
  explicit Backoff(const RetryOptions& options) : options_(options), random_(std::random_device{}()) {}

  // After a failure: waits, or throws it again when it is not worth another try or none is left. Waits between half and
  // all of the time that is due, so that many clients don't come back together; a server's Retry-After is kept to.
  // Call it in a catch block. A failure
  // is thrown at once when the call would end in the wait. Throws Error kCancelled, kDeadlineExceeded.
  void wait(const Error& failure, const Call& call);
  // There was progress: the next failure is the first again.
  void reset() noexcept { failures_ = 0; }

 private:
  RetryOptions options_;
  int failures_ = 0;
  std::minstd_rand random_;
};

// Runs `attempt` until it succeeds or Backoff throws.
template <typename F>
auto with_retries(const RetryOptions& options, const Call& call, const F& attempt) {
  Backoff backoff(options);
  for (;;) {
    try {
      return attempt();
    } catch (const Error& failure) {
      backoff.wait(failure, call);
    }
  }
}

}  // namespace ipcs::oci
