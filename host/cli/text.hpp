// Sizes, times and foreign text as people read them.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ipcs::cli {

// Four digits and a decimal unit, as `ctr` has it: "0B", "1.234kB", "5MB".
std::string size_text(uint64_t bytes);

// The largest unit that fits: "Less than a second", "1 minute", "3 days".
std::string age_text(std::chrono::nanoseconds age);
// The same for the time since then; "-" when `then_ns` (since 1970 UTC) is 0.
std::string age_since(int64_t then_ns);

// Exact and short: "1.5s", "2m30s", "36h".
std::string duration_text(std::chrono::nanoseconds duration);
// Reads "10s", "1m30s", "500ms", "2h" or a number of seconds, at most ten years. Nothing for other text.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// RFC 3339 in UTC with as many digits of a second as are needed; empty for 0.
std::string time_text(int64_t ns);
int64_t to_ns(const google::protobuf::Timestamp& time);

// Text that somebody else chose, safe to print on a terminal: control characters and what is not UTF-8 as \xNN.
std::string printable(std::string_view text);
// Whether the text is UTF-8 throughout, as protobuf wants its strings.
bool is_utf8(std::string_view text);
// How many columns a printable text needs, for text without wide characters.
size_t columns(std::string_view text);
// At most `width` columns of it; what was cut is "…".
std::string shortened(std::string_view text, size_t width);

// "1 blob", "2 blobs".
std::string counted(uint64_t count, std::string_view noun);

}  // namespace ipcs::cli
