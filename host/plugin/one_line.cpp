// Foreign text made fit for one line of an error or a log.
#include "plugin/one_line.hpp"

namespace ipcs::loader {

std::string one_line(std::string_view text, size_t limit) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool blank = byte <= 0x20 || byte == 0x7f;
    if (blank && (line.empty() || line.back() == ' ')) continue;
    if (line.size() >= limit) return line + "...";
    line += blank ? ' ' : c;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace ipcs::loader
