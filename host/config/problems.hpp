// Everything that is wrong with one file, gathered so that all of it is told at once.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ipcs::config {

// Gathers problems; one thread.
class Problems {
 public:
  explicit Problems(std::string file_name) : file_name_(std::move(file_name)) {}

  // `line` counts from 1; 0: the file as a whole.
  void add(size_t line, std::string text) { found_.push_back({line, std::move(text)}); }

  // Throws Error kInvalidArgument unless there are none: a line `file:line: text` for each, in the file's order.
  void throw_if_any() const;

 private:
  struct Problem {
    size_t line;
    std::string text;
  };
  std::string file_name_;
  std::vector<Problem> found_;
};

}  // namespace ipcs::config
