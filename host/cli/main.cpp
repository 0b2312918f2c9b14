// ipcsctl: the operator's tool of ipcsd.
#include <unistd.h>

#include <exception>
#include <string_view>

#include "cli/command_line.hpp"
#include "cli/conformance_case.hpp"
#include "cli/session.hpp"
#include "ipcs/error.hpp"
#include "plugin/probe.hpp"

namespace ipcs::cli {
namespace {

// Runs the chosen verb. Everything that went wrong ends here.
int run(const Choice& choice, const Flags& flags, Interrupt& interrupt) {
  Output output(stdout);
  Connection connection(flags.address, flags.timeout, interrupt);
  Session session{flags, output, connection, interrupt};
  int result = kOk;
  try {
    result = choice.verb(session);
  } catch (const Error& e) {
    complain(e.what());
    result = kFailure;
  } catch (const std::exception& e) {
    complain(e.what());
    result = kFailure;
  }
  try {
    output.flush();
  } catch (const Error& e) {
    if (result == kOk) complain(e.what());
    result = kFailure;
  }
  return result;
}

int main_with_signals(int argc, char** argv) {
  Flags flags;
  Choice choice;
  const auto app = command_tree(flags, choice);
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app->exit(e);  // help and version
  } catch (const CLI::ParseError& e) {
    complain(usage_problem(*app, e));
    return kUsage;
  }
  Interrupt interrupt;
  try {
    return run(choice, flags, interrupt);
  } catch (const Interrupted&) {
    std::fflush(stdout);
    complain("interrupted");
    interrupt.die();
  }
}

}  // namespace
}  // namespace ipcs::cli

int main(int argc, char** argv) {
  // Processes of their own in which `plugin check` tries a plugin.
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "plugin-probe") return ipcs::loader::probe_main(argc, argv);
  if (verb == "plugin-case") return ipcs::cli::case_main(argc, argv);
  try {
    return ipcs::cli::main_with_signals(argc, argv);
  } catch (const std::exception& e) {
    ipcs::cli::complain(e.what());
    return ipcs::cli::kFailure;
  }
}
