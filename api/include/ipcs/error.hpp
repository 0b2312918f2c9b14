// The one error type on both sides of the ABI, and its way across in an ipcs_status.
#pragma once

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ipcs/content_store.h"

namespace ipcs {

// Result codes; the numbers are gRPC's and those of ipcs_code.
enum class Code : int32_t {
  kOk = IPCS_OK,
  kCancelled = IPCS_CANCELLED,
  kUnknown = IPCS_UNKNOWN,
  kInvalidArgument = IPCS_INVALID_ARGUMENT,
  kDeadlineExceeded = IPCS_DEADLINE_EXCEEDED,
  kNotFound = IPCS_NOT_FOUND,
  kAlreadyExists = IPCS_ALREADY_EXISTS,
  kPermissionDenied = IPCS_PERMISSION_DENIED,
  kResourceExhausted = IPCS_RESOURCE_EXHAUSTED,
  kFailedPrecondition = IPCS_FAILED_PRECONDITION,
  kAborted = IPCS_ABORTED,
  kOutOfRange = IPCS_OUT_OF_RANGE,
  kUnimplemented = IPCS_UNIMPLEMENTED,
  kInternal = IPCS_INTERNAL,
  kUnavailable = IPCS_UNAVAILABLE,
  kDataLoss = IPCS_DATA_LOSS,
  kUnauthenticated = IPCS_UNAUTHENTICATED,
};

// The code's name as gRPC writes it, e.g. "NOT_FOUND"; "UNKNOWN" for a number that is none.
inline const char* code_name(Code code) noexcept {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",     "UNKNOWN",          "INVALID_ARGUMENT",  "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",  "UNIMPLEMENTED",    "INTERNAL",          "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

// A failure: what kind, and one line that names the thing it is about.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

// Writes `code` and as much of `message` as fits to `status`, which may be null. Returns the code.
inline int32_t fill_status(ipcs_status* status, Code code, std::string_view message) noexcept {
  if (status != nullptr) {
    const size_t size = std::min(message.size(), sizeof status->message);
    status->code = static_cast<int32_t>(code);
    status->message_size = static_cast<uint32_t>(size);
    std::memcpy(status->message, message.data(), size);
  }
  return static_cast<int32_t>(code);
}

// The Error that a foreign function reported by returning `code` and filling in `status`. Trusts neither:
// a code outside the enumeration becomes kUnknown, the message is cut to the buffer.
inline Error error_from(int32_t code, const ipcs_status& status) {
  const bool known = code > IPCS_OK && code <= IPCS_UNAUTHENTICATED;
  if (status.code != code) return Error(known ? static_cast<Code>(code) : Code::kUnknown, "the plugin gave no message");
  const size_t size = std::min<size_t>(status.message_size, sizeof status.message);
  return Error(known ? static_cast<Code>(code) : Code::kUnknown, std::string(status.message, size));
}

}  // namespace ipcs
