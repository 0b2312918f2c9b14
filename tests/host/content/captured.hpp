// What is logged while a test runs.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "host/content/world.hpp"

namespace ipcs::test {

// The lines that are written to descriptor 2 while it lives.
class Captured {
 public:
  explicit Captured(const TempDir& dir) : path_(dir / "stderr"), saved_(::dup(2)) {
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    REQUIRE(::dup2(file, 2) == 2);
    ::close(file);
  }
  ~Captured() { end(); }

  // Those that have all the words. Ends the capture.
  std::vector<std::string> with(std::initializer_list<std::string> words) {
    end();
    std::vector<std::string> found;
    std::ifstream in(path_);
    for (std::string line; std::getline(in, line);) {
      const auto has = [&](const std::string& word) { return line.find(word) != std::string::npos; };
      if (std::all_of(words.begin(), words.end(), has)) found.push_back(line);
    }
    return found;
  }

 private:
  void end() {
    if (saved_ < 0) return;
    ::dup2(saved_, 2);
    ::close(saved_);
    saved_ = -1;
  }

  const std::string path_;
  int saved_;
};

}  // namespace ipcs::test
