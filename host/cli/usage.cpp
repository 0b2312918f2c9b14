// `ipcsctl df`: who holds how many bytes.
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct NoArgs {};

Json to_json(const admin_api::Amount& amount) {
  return {{"count", amount.count()}, {"bytes", amount.bytes()}};
}

int usage(Session& session, const NoArgs&) {
  const auto response = session.connection.call<admin_api::UsageResponse>(
      session.connection.admin(), &admin_api::Admin::Stub::Usage, admin_api::UsageRequest());
  if (session.json()) {
    Json clients = Json::object();
    for (const admin_api::ClientAmount& client : response.clients()) {
      Json& json = clients[client.name()] = to_json(client.amount());
      json["configured"] = !client.former();
    }
    session.output.json({{"total", to_json(response.total())},
                         {"pinned", to_json(response.pinned())},
                         {"clients", std::move(clients)},
                         {"shared", to_json(response.shared())},
                         {"ingests", to_json(response.ingests())},
                         {"free_bytes", response.free_bytes()},
                         {"quota_bytes", response.quota_bytes()}});
    return kOk;
  }
  Table table({{"HELD BY"}, {"COUNT", Table::Align::kRight}, {"SIZE", Table::Align::kRight}, {"WHAT"}});
  const auto row = [&](const std::string& holder, const admin_api::Amount& amount, const std::string& what) {
    table.add({holder, std::to_string(amount.count()), size_text(amount.bytes()), what});
  };
  row("pins", response.pinned(), "the operator's blobs");
  for (const admin_api::ClientAmount& client : response.clients())
    row(client.name(), client.amount(),
        client.former() ? "not configured: `ipcsctl client rm` drops its claims" : "blobs that this client claims");
  row("several", response.shared(), "counted above under each of their holders");
  row("anyone", response.total(), "all blobs, each counted once");
  row("ingests", response.ingests(), "bytes that are not committed");
  if (response.quota_bytes() > 0) table.add({"quota", "-", size_text(response.quota_bytes()), "configured limit"});
  table.add({"free", "-", size_text(response.free_bytes()), "that can still be stored"});
  session.output.table(table);
  return kOk;
}

}  // namespace

void add_usage(CLI::App& app, Choice& choice) {
  add_verb(app, choice, "df", "show who holds how many bytes", usage, std::make_shared<NoArgs>());
}

}  // namespace ipcs::cli
