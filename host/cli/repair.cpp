// `ipcsctl pin audit` and `ipcsctl backend repair`: what is held, the backend's index and what lies below it against each
// other.
#include <fmt/format.h>

#include "cli/findings.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct NoArgs {};

// Runs it and prints the findings; the result is the last message.
admin_api::RepairResponse run(Session& session, const char* label, bool dry_run) {
  admin_api::RepairRequest message;
  message.set_dry_run(dry_run);
  Findings findings(session, true);
  const auto last =
      follow<admin_api::RepairResponse>(session, label, findings, &admin_api::Admin::Stub::Repair, message);
  if (session.json()) {
    session.output.json({{"blobs", {{"count", last.blobs().count()}, {"bytes", last.blobs().bytes()}}},
                         {"claims", last.claims()},
                         {"pending", last.pending()},
                         {"leaked", last.leaked()},
                         {"missing", last.missing()},
                         {"damaged", last.damaged()},
                         {"left", last.left()},
                         {"findings", findings.json()}});
  }
  session.output.flush();
  return last;
}

std::string blobs_text(const admin_api::RepairResponse& last) {
  std::string text = fmt::format("{}, {}", counted(last.blobs().count(), "blob"), size_text(last.blobs().bytes()));
  if (last.claims() > 0) text += fmt::format(", {} of them not hashed yet", last.claims());
  return text;
}

int audit(Session& session, const NoArgs&) {
  const auto last = run(session, "audit", true);
  if (!session.json() && !session.flags.quiet) {
    session.output.line(fmt::format("leaked:   {}", last.leaked()));
    session.output.line(fmt::format("missing:  {}", last.missing()));
    if (last.damaged() > 0) session.output.line(fmt::format("damaged:  {}", last.damaged()));
    session.output.flush();
  }
  session.tell("audited " + blobs_text(last));
  if (last.left() == 0) return kOk;
  complain(fmt::format("{}: `ipcsctl backend repair` mends what can be mended", counted(last.left(), "difference")));
  return kFailure;
}

int repair(Session& session, const NoArgs&) {
  const auto start = std::chrono::steady_clock::now();
  const auto last = run(session, "repair", false);
  const uint64_t found = last.leaked() + last.missing() + last.damaged();
  session.tell(fmt::format("{} mended in {}: {}", counted(found - last.left(), "difference"),
                           duration_text(std::chrono::steady_clock::now() - start), blobs_text(last)));
  if (last.left() == 0) return kOk;
  complain(fmt::format("{} not mended; `ipcsctl content ingest` of the right bytes heals a blob",
                       counted(last.left(), "difference")));
  return kFailure;
}

}  // namespace

void add_audit(CLI::App& pin, Choice& choice) {
  CLI::App* verb = add_verb(pin, choice, "audit",
                            "list what the backend holds for nobody, and what is held and it lacks; change nothing", audit,
                            std::make_shared<NoArgs>());
  verb->footer("Exit code 1 when there is any.\n" + verb->get_footer());
}

void add_repair(CLI::App& backend, Choice& choice) {
  CLI::App* verb = add_verb(backend, choice, "repair",
                            "make the backend's index and what it describes agree, and hash what was found", repair,
                            std::make_shared<NoArgs>());
  verb->footer("It is one request: --timeout limits the whole run, and the next one goes on from there.\n" +
               verb->get_footer());
}

}  // namespace ipcs::cli
