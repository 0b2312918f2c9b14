// The command line and environment of ipcsd, and the commands that only look at its configuration.
#pragma once

#include <string>

#include "config/config.hpp"
#include "config/environment.hpp"

namespace ipcs::config {

inline constexpr int kExitUsage = 2;  // exit code for a command line or configuration that is wrong

// What the command line and the environment ask for. A value.
struct Options {
  enum class Action {
    kRun,           // serve
    kPrint,         // print `text`: help or version
    kPrintDefault,  // ipcsd config default
    kCheck,         // ipcsd config check
  };
  Action action = Action::kRun;
  std::string text;
  std::string file;  // the file named by argument, flag or variable; empty: the default one, which may be missing
  Settings flags, variables;
  bool allow_missing = false;  // start although the store lacks blobs that the catalog knows
};

// Reads the arguments, argv[0] being the program, and the IPCS_* variables of `environment`. An empty variable counts
// as not set. Relative paths start at the working directory. Throws Error kInvalidArgument with one line that names the
// flag or variable, and for an unknown flag the nearest one.
Options parse_command_line(int argc, const char* const* argv, const Environment& environment);

// The configuration that is to run: the file, if it is there or was named, under the variables and flags. Throws Error
// as load() and resolve() do.
Config load(const Options& options, const Environment& environment);

// Does what an action other than kRun asks for, and returns what is to be printed on standard output. Throws Error:
// the caller prints its lines and exits with kExitUsage.
std::string run_command(const Options& options, const Environment& environment);

}  // namespace ipcs::config
