// `ipcsctl client`: who holds claims, and dropping those of a client that is no longer configured.
#include "cli/client.hpp"

#include <fmt/format.h>

#include "cli/session.hpp"
#include "cli/text.hpp"
#include "config/nearest.hpp"
#include "ipcs/error.hpp"

namespace ipcs::cli {

Json client_json(const admin_api::Client& client) {
  return {{"name", client.name()},
          {"address", client.address()},
          {"claims", client.claims()},
          {"bytes", client.bytes()},
          {"configured", !client.former()},
          {"ingests", {{"count", client.ingests().count()}, {"bytes", client.ingests().bytes()}}}};
}

namespace {

struct NoArgs {};

admin_api::ListClientsResponse ask(Session& session) {
  return session.connection.call<admin_api::ListClientsResponse>(
      session.connection.admin(), &admin_api::Admin::Stub::ListClients, admin_api::ListClientsRequest());
}

int list(Session& session, const NoArgs&) {
  const admin_api::ListClientsResponse response = ask(session);
  Json clients = Json::array();
  Table table({{"NAME"},
               {"ADDRESS"},
               {"CLAIMS", Table::Align::kRight},
               {"SIZE", Table::Align::kRight},
               {"INGESTS", Table::Align::kRight}});
  for (const admin_api::Client& client : response.clients()) {
    if (session.json()) {
      clients.push_back(client_json(client));
    } else if (session.flags.quiet) {
      session.output.line(client.name());
    } else {
      table.add({client.name(), client.former() ? "-" : client.address(), std::to_string(client.claims()),
                 size_text(client.bytes()), std::to_string(client.ingests().count())});
    }
  }
  if (session.json()) {
    session.output.json(clients);
  } else if (!session.flags.quiet) {
    session.output.table(table);
  }
  return kOk;
}

struct RemoveArgs {
  std::vector<std::string> names;
};

// " (did you mean …?)" when a client that could be removed has nearly that name.
std::string suggestion(Session& session, const std::string& name) {
  const admin_api::ListClientsResponse response = ask(session);
  std::vector<std::string_view> names;
  for (const admin_api::Client& client : response.clients()) {
    if (client.former()) names.push_back(client.name());
  }
  const auto near = config::nearest(name, names);
  return near ? fmt::format(" (did you mean \"{}\"?)", *near) : std::string("; `ipcsctl client ls` lists who has");
}

admin_api::RemoveClientResponse remove_one(Session& session, const std::string& name) {
  admin_api::RemoveClientRequest request;
  request.set_name(name);
  try {
    return session.connection.call<admin_api::RemoveClientResponse>(session.connection.admin(),
                                                                    &admin_api::Admin::Stub::RemoveClient, request);
  } catch (const Error& e) {
    if (e.code() != Code::kNotFound) throw;
    throw Error(e.code(), e.what() + suggestion(session, name));
  }
}

Json to_json(const admin_api::Amount& amount) {
  return {{"count", amount.count()}, {"bytes", amount.bytes()}};
}

int remove(Session& session, const RemoveArgs& args) {
  Json removed = Json::array();
  const int result = session.each(args.names, [&](const std::string& name) {
    const admin_api::RemoveClientResponse response = remove_one(session, name);
    if (session.json()) {
      removed.push_back({{"name", name},
                         {"claims", to_json(response.claims())},
                         {"freed", to_json(response.freed())},
                         {"ingests", to_json(response.ingests())}});
    } else {
      session.output.line(
          fmt::format("{}: dropped {} ({}) and {} ({}); {} ({}) removed, as nobody else held them", printable(name),
                      counted(response.claims().count(), "claim"), size_text(response.claims().bytes()),
                      counted(response.ingests().count(), "ingest"), size_text(response.ingests().bytes()),
                      counted(response.freed().count(), "blob"), size_text(response.freed().bytes())));
    }
  });
  if (session.json()) session.output.json(removed);
  return result;
}

}  // namespace

void add_client(CLI::App& app, Choice& choice) {
  CLI::App* client = app.add_subcommand("client", "the sockets for containerds, and what they hold");
  client->require_subcommand(1);

  add_verb(*client, choice, "ls", "list clients; one without an address is no longer configured", list,
           std::make_shared<NoArgs>())
      ->alias("list");

  auto removed = std::make_shared<RemoveArgs>();
  add_verb(*client, choice, "rm",
           "drop claims and ingests of clients that are no longer configured; the bytes go when nobody else holds them",
           remove, removed)
      ->alias("delete")
      ->add_option("NAME", removed->names, "as `client ls` lists it")
      ->type_name("")
      ->required()
      ->check(is_text());
}

}  // namespace ipcs::cli
