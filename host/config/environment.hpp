// What the program finds around itself: variables, user, directories, the place of the executable.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace ipcs::config {

// A snapshot, handed in so that tests can make one up. A value.
struct Environment {
  std::map<std::string, std::string, std::less<>> variables;
  uid_t euid = 0;
  std::string home;         // empty: not known
  std::string working_dir;  // relative paths on the command line start here
  std::string executable;   // absolute path, links resolved

  // Of this process. HOME wins over the user database. Never fails: what can't be found out is empty.
  static Environment of_process();

  bool rootless() const noexcept { return euid != 0; }
  // A variable's value, empty when it is not set.
  std::string get(std::string_view name) const;
  // The variable when it is an absolute path, as the XDG specification wants, otherwise `fallback`.
  std::string directory(std::string_view name, const std::string& fallback) const;
};

}  // namespace ipcs::config
