// `ipcsctl status` and `ipcsctl backend status`: the daemon and its store.
#include <fmt/format.h>

#include "cli/client.hpp"
#include "cli/session.hpp"
#include "cli/text.hpp"

namespace ipcs::cli {
namespace {

struct NoArgs {};

admin_api::StatusResponse ask(Session& session) {
  return session.connection.call<admin_api::StatusResponse>(session.connection.admin(), &admin_api::Admin::Stub::Status,
                                                            admin_api::StatusRequest());
}

std::string state_of(const admin_api::Backend& backend) {
  if (backend.read_only()) return "read-only";
  return backend.full() ? "full: new ingests are refused" : "ok";
}

Json to_json(const admin_api::Backend& backend) {
  return {{"name", backend.name()},
          {"version", backend.version()},
          {"store_id", backend.store_id()},
          {"location", backend.location()},
          {"read_only", backend.read_only()},
          {"full", backend.full()},
          {"used_bytes", backend.used_bytes()},
          {"free_bytes", backend.free_bytes()},
          {"quota_bytes", backend.quota_bytes()}};
}

// Null where there is no previous backend.
template <class Response>
Json previous_json(const Response& response) {
  if (!response.has_previous()) return nullptr;
  Json json = to_json(response.previous().backend());
  const admin_api::Amount& to_copy = response.previous().to_copy();
  json["to_copy"] = {{"count", to_copy.count()}, {"bytes", to_copy.bytes()}};
  return json;
}

std::string to_copy_text(const admin_api::Amount& to_copy) {
  if (to_copy.count() == 0) return "nothing: `previous` can be taken out of ipcsd's configuration";
  return fmt::format("{}, {}", counted(to_copy.count(), "blob"), size_text(to_copy.bytes()));
}

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// Null where nothing is unpacked.
Json unpacking_json(const admin_api::StatusResponse& status) {
  if (!status.has_unpacking()) return nullptr;
  const admin_api::Unpacking& unpacking = status.unpacking();
  return {{"address", unpacking.address()},
          {"applied", unpacking.applied()},
          {"failed", unpacking.failed()},
          {"under_way", unpacking.under_way()},
          {"stored_bytes", unpacking.stored_bytes()},
          {"uncompressed_bytes", unpacking.uncompressed_bytes()},
          {"seconds",
           {{"read", seconds(unpacking.read_ns())},
            {"decompress", seconds(unpacking.decompress_ns())},
            {"hash", seconds(unpacking.hash_ns())},
            {"write", seconds(unpacking.write_ns())}}}};
}

void add_rows(const admin_api::Unpacking& unpacking, Table& table) {
  table.add({"layers:", fmt::format("{} applied, {} failed, {} running, on {}", unpacking.applied(), unpacking.failed(),
                                    unpacking.under_way(), unpacking.address())});
  table.add({"unpacked:", fmt::format("{} from {}; read {:.1f} s, decompress {:.1f} s, hash {:.1f} s, write {:.1f} s",
                                      size_text(unpacking.uncompressed_bytes()), size_text(unpacking.stored_bytes()),
                                      seconds(unpacking.read_ns()), seconds(unpacking.decompress_ns()),
                                      seconds(unpacking.hash_ns()), seconds(unpacking.write_ns()))});
}

Json to_json(const admin_api::StatusResponse& status) {
  Json clients = Json::array();
  for (const admin_api::Client& client : status.clients()) clients.push_back(client_json(client));
  const admin_api::Recovery& recovery = status.recovery();
  return {{"version", status.version()},
          {"started_at", time_text(status.started_ns())},
          {"uptime_seconds", static_cast<double>(status.uptime_ns()) / 1e9},
          {"backend", to_json(status.backend())},
          {"previous", previous_json(status)},
          {"blobs", status.blobs()},
          {"bytes", status.bytes()},
          {"pins", status.pins()},
          {"missing", status.missing()},
          {"damaged", status.damaged()},
          {"ingests", status.ingests()},
          {"clients", std::move(clients)},
          {"unpacking", unpacking_json(status)},
          {"recovery",
           {{"blobs", recovery.blobs()},
            {"bytes", recovery.bytes()},
            {"adopted", recovery.adopted()},
            {"missing", recovery.missing()},
            {"damaged", recovery.damaged()},
            {"dropped_ingests", recovery.dropped_ingests()}}}};
}

void add_rows(const admin_api::Backend& backend, Table& table, const std::string& title = "backend:") {
  table.add({title, fmt::format("{} {}", backend.name(), backend.version())});
  table.add({"store id:", backend.store_id()});
  table.add({"location:", backend.location()});
  table.add({"state:", state_of(backend)});
  std::string space = fmt::format("{} used, {} free", size_text(backend.used_bytes()), size_text(backend.free_bytes()));
  if (backend.quota_bytes() > 0) space += fmt::format(", quota {}", size_text(backend.quota_bytes()));
  table.add({"space:", space});
}

int status(Session& session, const NoArgs&) {
  const admin_api::StatusResponse status = ask(session);
  if (session.json()) {
    session.output.json(to_json(status));
    return kOk;
  }
  Table table({{""}, {""}});
  table.add({"ipcsd:", fmt::format("{} on {}", status.version(), session.connection.address())});
  table.add({"up:", fmt::format("{}, since {}", age_text(std::chrono::nanoseconds(status.uptime_ns())),
                                time_text(status.started_ns() / 1'000'000'000 * 1'000'000'000))});
  add_rows(status.backend(), table);
  if (status.has_previous()) {
    const admin_api::Backend& previous = status.previous().backend();
    table.add({"previous:", fmt::format("{} {}, {}", previous.name(), previous.version(), previous.location())});
    table.add({"to copy:", to_copy_text(status.previous().to_copy())});
  }
  table.add({"blobs:", fmt::format("{}, {}", status.blobs(), size_text(status.bytes()))});
  table.add({"pins:", std::to_string(status.pins())});
  table.add({"missing:", std::to_string(status.missing())});
  table.add({"damaged:", std::to_string(status.damaged())});
  table.add({"ingests:", std::to_string(status.ingests())});
  for (const admin_api::Client& client : status.clients()) {
    const std::string claims = fmt::format("{}, {}", counted(client.claims(), "claim"), size_text(client.bytes()));
    table.add({fmt::format("client {}:", client.name()),
               client.former() ? fmt::format("{}, {}, not configured: `ipcsctl client rm {}` drops what it holds",
                                             claims, counted(client.ingests().count(), "ingest"), client.name())
                               : fmt::format("{}, on {}", claims, client.address())});
  }
  if (status.has_unpacking()) add_rows(status.unpacking(), table);
  const admin_api::Recovery& recovery = status.recovery();
  table.add({"at start:",
             fmt::format("{}, {}; {} adopted, {} missing, {} damaged, {} dropped", counted(recovery.blobs(), "blob"),
                         size_text(recovery.bytes()), recovery.adopted(), recovery.missing(), recovery.damaged(),
                         counted(recovery.dropped_ingests(), "ingest"))});
  session.output.table(table);
  return kOk;
}

int backend_status(Session& session, const NoArgs&) {
  const auto response = session.connection.call<admin_api::BackendStatusResponse>(
      session.connection.admin(), &admin_api::Admin::Stub::BackendStatus, admin_api::BackendStatusRequest());
  if (session.json()) {
    Json json = to_json(response.backend());
    json["previous"] = previous_json(response);
    session.output.json(json);
    return kOk;
  }
  Table table({{""}, {""}});
  add_rows(response.backend(), table);
  if (response.has_previous()) {
    table.add({"", ""});
    add_rows(response.previous().backend(), table, "previous:");
    table.add({"to copy:", to_copy_text(response.previous().to_copy())});
  }
  session.output.table(table);
  return kOk;
}

}  // namespace

void add_status(CLI::App& app, Choice& choice) {
  add_verb(app, choice, "status", "show the daemon, its store and its clients", status, std::make_shared<NoArgs>());
  CLI::App* backend = app.add_subcommand("backend", "the store behind the daemon");
  backend->require_subcommand(1);
  add_verb(*backend, choice, "status", "show the store's id, place, state and space, and those of the previous one",
           backend_status, std::make_shared<NoArgs>());
  add_copy(*backend, choice);
  add_repair(*backend, choice);
}

}  // namespace ipcs::cli
