// Directories and files of the loader's tests.
#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ipcs/error.hpp"

namespace ipcs::loader::test {

// Path of a plugin that the build made for these tests.
inline std::string built(const std::string& name) {
  return std::string(IPCS_TEST_PLUGINS) + "/" + name + ".so";
}

inline std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

// A private directory, removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string text = (std::filesystem::temp_directory_path() / "ipcs-loader-XXXXXX").string();
    REQUIRE(::mkdtemp(text.data()) != nullptr);
    path_ = text;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  std::string write(const std::string& name, const std::vector<uint8_t>& bytes) const {
    std::ofstream out(path(name), std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    out.close();
    REQUIRE(out.good());
    return path(name);
  }
  std::string write(const std::string& name, const std::string& text) const {
    return write(name, std::vector<uint8_t>(text.begin(), text.end()));
  }
  // Puts the built plugin `plugin` here as `name`.
  std::string copy(const std::string& plugin, const std::string& name) const {
    return write(name, bytes_of(built(plugin)));
  }

 private:
  std::string path_;
};

// Runs `body`, which must throw an Error of one printable line, and returns that.
template <class Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    const std::string line = e.what();
    INFO(line);
    CHECK_FALSE(line.empty());
    CHECK(line.size() < 1200);
    CHECK(line.find_first_of("\n\r\t") == std::string::npos);
    return e;
  }
  FAIL("no Error was thrown");
  return Error(Code::kInternal, "");
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace ipcs::loader::test
