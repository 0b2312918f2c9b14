// Foreign text made fit for one line of an error or a log.
#pragma once

#include <string>
#include <string_view>

namespace ipcs::loader {

// `text` without control characters (each run of them becomes one space) and without spaces at its ends, at most
// `limit` bytes; what is longer ends in "...". Bytes above 0x7f pass as they are.
std::string one_line(std::string_view text, size_t limit = 400);

}  // namespace ipcs::loader
