// Codes become findings; a call that is over ends the work.
#include "content/findings.hpp"

#include <fmt/format.h>

#include <chrono>

namespace ipcs::content {
namespace {

bool expired(const Call& call) {
  const auto now = Call::Clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() >= call.abi()->deadline_ns;
}

}  // namespace

Finding to_finding(const oci::Digest& digest, const Error& error) {
  switch (error.code()) {
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
      throw error;
    case Code::kNotFound:
      return {FindingKind::kMissing, digest, "no bytes are stored; writing them again heals it"};
    case Code::kDataLoss:
      return {FindingKind::kDamaged, digest, error.what()};
    default:
      return {FindingKind::kUnreadable, digest, error.what()};
  }
}

void report(const Call& call, std::string_view what, const Observer& observer, const Progress& progress) {
  if (call.cancelled()) throw Error(Code::kCancelled, fmt::format("{}: cancelled", what));
  if (expired(call)) throw Error(Code::kDeadlineExceeded, fmt::format("{}: the time is over", what));
  if (observer.progress) observer.progress(progress);
}

}  // namespace ipcs::content
