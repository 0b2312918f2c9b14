// Shell completion, made from the tree of verbs: there is no second list of them to keep.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ipcs::cli {

// Scripts to be sourced by the shell, for the program that `app` is the command line of. Verbs, flags and the words
// that a flag or argument takes are completed; sockets and files by name.
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

}  // namespace ipcs::cli
