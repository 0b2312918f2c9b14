// How a record becomes one line: logfmt text or JSON, whatever bytes it carries.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "log/log.hpp"

namespace ipcs::log {

// "debug", "info", "warn" or "error".
std::string_view to_string(Level level) noexcept;

// One line without its end, `time=… level=… msg=… key=value`. Keys keep [A-Za-z0-9_.-], other bytes become '_'. A value
// stands bare when it is plain ASCII without blanks, quotes, '=' or '\', otherwise in double quotes; there `"` and `\`
// are escaped, control and text-direction characters become \n, \r, \t or \u…, bytes that are not UTF-8 become \x….
std::string render_text(std::chrono::system_clock::time_point time, Level level, std::string_view message,
                        Fields fields);

// One line without its end: a JSON object of strings, in ASCII; bytes that are not UTF-8 become U+FFFD.
std::string render_json(std::chrono::system_clock::time_point time, Level level, std::string_view message,
                        Fields fields);

}  // namespace ipcs::log
