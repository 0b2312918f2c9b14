// `ipcsctl version`: of the tool and of the daemon.
#include "cli/session.hpp"

#include "cli/text.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {
namespace {

struct NoArgs {};

int version(Session& session, const NoArgs&) {
  Json server = nullptr;
  int result = kOk;
  std::string trouble;
  try {
    server = session.connection
                 .call<admin_api::VersionResponse>(session.connection.admin(), &admin_api::Admin::Stub::Version,
                                                   admin_api::VersionRequest())
                 .version();
  } catch (const Error& e) {
    // What is known is told all the same.
    trouble = e.what();
    result = kFailure;
  }
  if (session.json()) {
    session.output.json({{"client", IPCS_VERSION}, {"server", server}});
  } else {
    Table table({{""}, {""}});
    table.add({"ipcsctl:", IPCS_VERSION});
    if (!server.is_null()) table.add({"ipcsd:", server.get<std::string>()});
    session.output.table(table);
  }
  session.output.flush();
  if (!trouble.empty()) complain(trouble);
  return result;
}

}  // namespace

void add_version(CLI::App& app, Choice& choice) {
  add_verb(app, choice, "version", "print the versions of ipcsctl and ipcsd", version, std::make_shared<NoArgs>());
}

}  // namespace ipcs::cli
