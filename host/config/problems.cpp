// Writes the problems of a file, a line each.
#include "config/problems.hpp"

#include <algorithm>

#include "ipcs/error.hpp"

namespace ipcs::config {

void Problems::throw_if_any() const {
  if (found_.empty()) return;
  std::vector<Problem> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string message;
  for (const Problem& problem : sorted) {
    if (!message.empty()) message += '\n';
    message += file_name_;
    if (problem.line > 0) message += ':' + std::to_string(problem.line);
    message += ": " + problem.text;
  }
  throw Error(Code::kInvalidArgument, message);
}

}  // namespace ipcs::config
