// `ipcsctl verify`: has the daemon read its blobs again, and lists what is not as it should be.
#include <fmt/format.h>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

struct VerifyArgs {
  std::vector<std::string> digests;
};

const char* kind_name(admin_api::Finding::Kind kind) {
  switch (kind) {
    case admin_api::Finding::DAMAGED:
      return "damaged";
    case admin_api::Finding::MISSING:
      return "missing";
    case admin_api::Finding::UNREADABLE:
      return "unreadable";
    default:
      return "unknown";
  }
}

// What was found so far. Table rows are printed as they come: a verification may take hours.
class Findings {
 public:
  explicit Findings(Session& session) : session_(session) {}

  void add(const admin_api::Finding& finding) {
    const std::string kind = kind_name(finding.kind());
    ++counts_[kind];
    if (session_.json()) {
      json_.push_back({{"kind", kind}, {"digest", finding.digest()}, {"detail", finding.detail()}});
    } else if (session_.flags.quiet) {
      session_.output.line(finding.digest());
    } else {
      session_.output.line(fmt::format("{:<10}  {}  {}", kind, finding.digest(), finding.detail()));
    }
    session_.output.flush();
  }

  bool empty() const { return counts_.empty(); }
  const Json& json() const { return json_; }
  // "2 damaged, 1 missing".
  std::string summary() const {
    std::string text;
    for (const auto& [kind, count] : counts_) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
    return text;
  }

 private:
  Session& session_;
  std::map<std::string, uint64_t> counts_;
  Json json_ = Json::array();
};

int verify(Session& session, const VerifyArgs& args) {
  admin_api::VerifyRequest message;
  for (const std::string& digest : args.digests) message.add_digests(digest);
  admin_api::Admin::Stub& stub = session.connection.admin();
  Findings findings(session);
  const auto progress = session.progress("verify");
  const auto start = std::chrono::steady_clock::now();
  Connection::Request request(session.connection);
  const auto stream = stub.Verify(request.context(), message);
  admin_api::VerifyResponse last;
  try {
    admin_api::VerifyResponse response;
    while (stream->Read(&response)) {
      if (response.findings_size() > 0) progress->clear();
      for (const admin_api::Finding& finding : response.findings()) findings.add(finding);
      progress->update(response.done_bytes(), response.total_bytes(), response.current());
      last.Swap(&response);
    }
  } catch (...) {
    request.cancel();
    stream->Finish();
    throw;
  }
  progress->clear();
  session.connection.check(stream->Finish());
  if (!last.finished()) throw Error(Code::kInternal, "ipcsd ended the verification before it was done");

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
  add_verb(app, choice, "verify", "hash blobs again, take damaged ones out of service and list them", verify, args)
      ->add_option("DIGEST", args->digests, "of a blob; all blobs when not given")
      ->type_name("")
      ->check(is_digest());
}

}  // namespace ipcs::cli
