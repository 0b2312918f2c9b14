// `ipcsctl backend copy`: has the daemon copy what lies in the previous store only into the current one.
#include <fmt/format.h>

#include "cli/findings.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct CopyArgs {};

Json to_json(const admin_api::Amount& amount) {
  return {{"count", amount.count()}, {"bytes", amount.bytes()}};
}

int copy(Session& session, const CopyArgs&) {
  Findings findings(session);
  const auto start = std::chrono::steady_clock::now();
  const auto last = follow<admin_api::CopyBackendResponse>(
      session, "copy", findings, &admin_api::Admin::Stub::CopyBackend, admin_api::CopyBackendRequest());
  if (session.json())
    session.output.json({{"copied", to_json(last.copied())},
                         {"to_copy", to_json(last.to_copy())},
                         {"complete", last.complete()},
                         {"findings", findings.json()}});
  session.output.flush();
  session.tell(fmt::format("copied {}, {} in {}", counted(last.copied().count(), "blob"),
                           size_text(last.copied().bytes()), duration_text(std::chrono::steady_clock::now() - start)));
  if (last.complete()) {
    session.tell("nothing is left to copy: `previous` can be taken out of ipcsd's configuration");
  } else if (findings.empty()) {
    session.tell(fmt::format("{}, {}, left to copy", counted(last.to_copy().count(), "blob"),
                             size_text(last.to_copy().bytes())));
  }
  if (findings.empty()) return kOk;
  complain(fmt::format("{}: not copied; `ipcsctl content ingest` of the right bytes heals a blob", findings.summary()));
  return kFailure;
}

}  // namespace

void add_copy(CLI::App& backend, Choice& choice) {
  CLI::App* verb =
      add_verb(backend, choice, "copy", "copy what lies in the previous store only into the current one, hashed on the way",
               copy, std::make_shared<CopyArgs>());
  verb->footer("All blobs are one request: --timeout limits the whole run, and the next one goes on from there.\n" +
               verb->get_footer());
}

}  // namespace ipcs::cli
