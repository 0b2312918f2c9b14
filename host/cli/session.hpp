// What every verb of ipcsctl works with, and how one is chosen on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/connection.hpp"
#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"

namespace ipcs::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailure = 1;  // it was tried, and something is wrong
inline constexpr int kUsage = 2;    // the command line makes no sense

// The flags that every verb knows.
struct Flags {
  std::string address;  // of the control socket; empty: the default one
  Format format = Format::kTable;
  std::optional<std::chrono::nanoseconds> timeout;  // of one call
  bool quiet = false;                               // only results, and of lists only the names
  bool no_progress = false;
};

// Writes "ipcsctl: <what>" to standard error, as one line.
void complain(const std::string& what);

// One run of the program. One thread, but for what Interrupt and Connection do.
struct Session {
  const Flags& flags;
  Output& output;
  Connection& connection;
  Interrupt& interrupt;

  bool json() const { return flags.format == Format::kJson; }
  // Tells the user something that is no result, on standard error.
  void tell(const std::string& line) const;
  // Runs `one` for each of `names`. What fails is said, and the rest is done all the same. Returns the exit code.
  int each(const std::vector<std::string>& names, const std::function<void(const std::string&)>& one) const;
  // A bar or lines for a long transfer, as the flags and standard error allow.
  std::unique_ptr<Progress> progress(std::string label) const;
};

// Runs a verb; returns the exit code. Throws Error.
using Verb = std::function<int(Session&)>;

// The verb that the command line names; empty until it has been parsed.
struct Choice {
  Verb verb;
};

// Adds the verb `name` to `parent`. `args` is what its options, which the caller adds, are parsed into.
template <class Args>
CLI::App* add_verb(CLI::App& parent, Choice& choice, const std::string& name, const std::string& help,
                   int (*run)(Session&, const Args&), const std::shared_ptr<Args>& args) {
  CLI::App* verb = parent.add_subcommand(name, help);
  verb->callback([&choice, run, args] { choice.verb = [run, args](Session& session) { return run(session, *args); }; });
  return verb;
}

// Checks that an argument is a digest; what is wrong with another one is a matter of usage.
CLI::Validator is_digest();
// Likewise for text that goes into a message.
CLI::Validator is_text();
// Likewise for text that must be there, as an unset variable in a script leaves none.
CLI::Validator is_not_empty();

// The groups of verbs; each is a file of this room.
void add_content(CLI::App& app, Choice& choice);
void add_transfer(CLI::App& content, Choice& choice);  // below `content`
void add_image(CLI::App& app, Choice& choice);
void add_pin(CLI::App& app, Choice& choice);
void add_audit(CLI::App& pin, Choice& choice);       // below `pin`
void add_client(CLI::App& app, Choice& choice);
void add_verify(CLI::App& app, Choice& choice);
void add_usage(CLI::App& app, Choice& choice);
void add_status(CLI::App& app, Choice& choice);
void add_copy(CLI::App& backend, Choice& choice);    // below `backend`
void add_repair(CLI::App& backend, Choice& choice);  // likewise
void add_cid(CLI::App& app, Choice& choice);
void add_plugin(CLI::App& app, Choice& choice);
void add_plugin_check(CLI::App& plugin, Choice& choice);  // below `plugin`
void add_version(CLI::App& app, Choice& choice);
// `app` is the whole tree, which the scripts are made from.
void add_completion(CLI::App& app, Choice& choice);

}  // namespace ipcs::cli
