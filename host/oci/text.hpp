// What others wrote, fit for one line of a message.
#pragma once

#include <string>
#include <string_view>

namespace ipcs::oci {

// At most `limit` bytes of `text` with everything that is not printable ASCII replaced by '?'; "…" where it was cut.
std::string one_line(std::string_view text, size_t limit = 160);

std::string lower_case(std::string_view text);

// Standard base64 with padding.
std::string base64_encode(std::string_view bytes);
// Throws Error kInvalidArgument; padding may be absent.
std::string base64_decode(std::string_view text);

}  // namespace ipcs::oci
