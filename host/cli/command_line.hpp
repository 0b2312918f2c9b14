// ipcsctl's command line: the tree of verbs, and what is told when it does not fit.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/session.hpp"

namespace ipcs::cli {

// The whole tree. Parsing fills in `flags` and `choice`, which outlive it.
std::unique_ptr<CLI::App> command_tree(Flags& flags, Choice& choice);

// One line on why parsing `app` ended with `error`, with the nearest known word where one is unknown.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& error);

}  // namespace ipcs::cli
