// What the catalog's tests share: a directory of their own, digests by number, and a look at the file from outside.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "catalog/catalog.hpp"
#include "catalog/sqlite.hpp"

namespace ipcs::catalog::testing {

// A directory that goes with the object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "ipcs-catalog-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline Digest digest(int number) {
  return Digest::of(std::to_string(number));
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline void spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  REQUIRE(slurp(path) == bytes);
}

// sqlite's own check of a catalog that is not open, and that every row of blobs has a holder and every holder its row.
inline void check_file(const std::string& path, const std::string& vfs = {}) {
  Connection db(path, vfs, false);
  CHECK(db.text("PRAGMA integrity_check") == "ok");
  CHECK(db.integer("SELECT count(*) FROM blobs WHERE digest NOT IN (SELECT digest FROM claims)"
                   " AND digest NOT IN (SELECT digest FROM pins)") == 0);
  CHECK(db.integer("SELECT count(*) FROM claims WHERE digest NOT IN (SELECT digest FROM blobs)") == 0);
  CHECK(db.integer("SELECT count(*) FROM pins WHERE digest NOT IN (SELECT digest FROM blobs)") == 0);
}

// The Error that `body` throws.
template <class Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e;
  }
  FAIL("nothing was thrown");
  throw std::logic_error("unreachable");
}

}  // namespace ipcs::catalog::testing
