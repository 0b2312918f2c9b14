// `ipcsctl verify`: has the daemon read its blobs again, and lists what is not as it should be.
#include <fmt/format.h>

#include "cli/findings.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct VerifyArgs {
  std::vector<std::string> digests;
};

int verify(Session& session, const VerifyArgs& args) {
  admin_api::VerifyRequest message;
  for (const std::string& digest : args.digests) message.add_digests(digest);
  Findings findings(session);
  const auto start = std::chrono::steady_clock::now();
  const auto last =
      follow<admin_api::VerifyResponse>(session, "verify", findings, &admin_api::Admin::Stub::Verify, message);

  if (session.json())
    session.output.json({{"blobs", last.done_blobs()}, {"bytes", last.done_bytes()}, {"findings", findings.json()}});
  session.tell(fmt::format("verified {}, {} in {}", counted(last.done_blobs(), "blob"), size_text(last.done_bytes()),
                           duration_text(std::chrono::steady_clock::now() - start)));
  if (findings.empty()) return kOk;
  session.output.flush();
  complain(fmt::format("{}: `ipcsctl content ingest` of the right bytes heals a blob", findings.summary()));
  return kFailure;
}

}  // namespace

void add_verify(CLI::App& app, Choice& choice) {
  auto args = std::make_shared<VerifyArgs>();
  CLI::App* verb =
      add_verb(app, choice, "verify", "hash blobs again, take damaged ones out of service and list them", verify, args);
  verb->footer("All blobs are one request: --timeout limits the whole run, and what it did not come to is not verified.\n" +
               verb->get_footer());
  verb->add_option("DIGEST", args->digests, "of a blob; all blobs when not given")
      ->type_name("")
      ->check(is_digest());
}

}  // namespace ipcs::cli
