// ipcsctl: the operator's tool of ipcsd.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <sstream>
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

// Poco blocks the signal in every program that is linked with it. A program that writes to a pipe ends by it, in silence.
void unblock_sigpipe() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
}

int main_with_signals(int argc, char** argv) {
  unblock_sigpipe();
  Flags flags;
  Choice choice;
  const auto app = command_tree(flags, choice);
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& e) {
    std::ostringstream text;  // help or version
    app->exit(e, text, text);
    Output output(stdout);
    output.write(text.str());
    output.flush();
    return kOk;
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

// Where a standard stream is closed, the next file or socket that is opened would take its place, and what is meant for
// the stream would go there. Its place is taken by a file that can be opened alone. Runs before libraries start, since
// gRPC opens its first descriptors then; by system calls, since sanitizers start later as well.
[[gnu::no_sanitize("address", "thread", "undefined")]] void hold_standard_streams(int, char**, char**) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::syscall(SYS_fcntl, fd, F_GETFD) < 0)
      ::syscall(SYS_openat, AT_FDCWD, "/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const first_of_all)(int, char**, char**) = hold_standard_streams;

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
