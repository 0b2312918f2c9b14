// A made-up environment, and files that go with the test.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "config/environment.hpp"
#include "ipcs/error.hpp"

namespace ipcs::config {

inline Environment root_environment() {
  Environment environment;
  environment.euid = 0;
  environment.home = "/root";
  environment.working_dir = "/srv";
  environment.executable = "/opt/ipcs/bin/ipcsd";
  return environment;
}

inline Environment user_environment() {
  Environment environment = root_environment();
  environment.euid = 1000;
  environment.home = "/home/ann";
  environment.variables["XDG_RUNTIME_DIR"] = "/run/user/1000";
  return environment;
}

// A directory that goes with the object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "ipcs-config-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  ~TempDir() { std::filesystem::remove_all(path_); }

  std::string file(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The message of the Error that `body` throws; fails when it throws none.
template <class Body>
std::string error_of(Body body, Code code = Code::kInvalidArgument) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}

}  // namespace ipcs::config
