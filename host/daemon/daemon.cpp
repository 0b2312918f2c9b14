// Start and end of the daemon, in the order in which things need each other.
#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <vector>

#include "catalog/catalog.hpp"
#include "content/content.hpp"
#include "content/recovery.hpp"
#include "daemon/notify.hpp"
#include "daemon/signals.hpp"
#include "ipcs/error.hpp"
#include "plugin/loader.hpp"
#include "plugin/registry.hpp"
#include "service/content_service.hpp"
#include "service/server.hpp"

namespace ipcs::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpenLimit = 60s;  // for the backend's open()
constexpr auto kStopLimit = 5s;   // for requests that run when the daemon ends

// Every open blob, ingest and connection is a descriptor; the usual soft limit of 1,024 is soon reached.
void raise_descriptor_limit(const log::Log& log) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log.warn("the limit of open files can't be raised");
}

void make_root(const std::string& root) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(root, error);
  if (error) throw Error(Code::kInvalidArgument, fmt::format("root {}: can't be made: {}", root, error.message()));
  if (made) std::filesystem::permissions(root, std::filesystem::perms::owner_all, error);
  if (::access(root.c_str(), R_OK | W_OK | X_OK) != 0)
    throw Error(Code::kInvalidArgument, fmt::format("root {}: this user can't write to it", root));
}

Store open_backend(const config::Config& config, const log::Log& log) {
  const loader::Registry registry = loader::Registry::scan(config.plugin_dirs, loader::Identity::current());
  registry.warn(log, {config.backend});
  const std::string json = config::plugin_json(config, config.backend);
  const loader::LoadedPlugin plugin = registry.load(config.backend, json, loader::ProbeOptions());
  log.info("backend loaded", {{"backend", config.backend}, {"version", plugin.table().version}, {"path", plugin.path()}});
  loader::OpenRequest request;
  request.config_json = json;
  request.deadline = Call::Clock::now() + kOpenLimit;
  request.services.log = log;
  request.services.scratch_dir = config.root + "/scratch/" + config.backend;
  return plugin.open(std::move(request));
}

content::RecoveryReport recover(const config::Config& config, const RunOptions& options, Store& backend,
                                catalog::Catalog& catalog, const content::Content& content, const log::Log& log) {
  content::RecoveryOptions how;
  for (const config::Socket& socket : config.grpc) how.clients.push_back(socket.name);
  how.adopt_for_containerd = config.adopt == config::Adopt::kContainerd;
  how.allow_missing = options.allow_missing;
  how.backend = config.backend;
  content::RecoveryReport report;
  try {
    report = content::recover(Call(), backend, catalog, content.now(), how, log);
  } catch (const Error& e) {
    if (e.code() != Code::kFailedPrecondition) throw;
    throw Error(Code::kInvalidArgument, e.what());  // another store: for the operator to decide
  }
  log.info("store opened", {{"backend", config.backend},
                            {"location", backend.info(Call()).location},
                            {"blobs", std::to_string(report.blobs)},
                            {"bytes", std::to_string(report.bytes)},
                            {"adopted", std::to_string(report.adopted)},
                            {"missing", std::to_string(report.missing)},
                            {"damaged", std::to_string(report.damaged)},
                            {"dropped_ingests", std::to_string(report.dropped_ingests)}});
  return report;
}

service::Endpoint to_endpoint(const config::Socket& socket) {
  return {socket.address, socket.uid, socket.gid, socket.mode};
}

// One listening socket: the server goes before the service that it calls.
struct Listener {
  std::unique_ptr<service::ContentService> content;
  std::unique_ptr<service::Server> server;
};

Listener listen(const config::Socket& socket, content::Content& content, bool is_operator, const log::Log& log) {
  Listener listener;
  listener.content =
      std::make_unique<service::ContentService>(content, content::Client{socket.name, is_operator}, log);
  listener.server = service::Server::start(to_endpoint(socket), {listener.content.get()});
  log.info("listening", {{"client", socket.name}, {"address", socket.address}});
  return listener;
}

void serve(const config::Config& config, const RunOptions& options, const log::Log& log) {
  make_root(config.root);
  const auto catalog = catalog::Catalog::open(config.root + "/catalog.db");
  Store backend = open_backend(config, log);
  content::Content content(backend, *catalog, {.now = {}, .log = log});
  recover(config, options, backend, *catalog, content, log);

  std::vector<Listener> listeners;
  for (const config::Socket& socket : config.grpc) listeners.push_back(listen(socket, content, false, log));
  listeners.push_back(listen(config.control, content, true, log));

  notify("READY=1");
  log.info("ready", {{"version", IPCS_VERSION}, {"pid", std::to_string(::getpid())}});
  const int signal = wait_for_end();
  log.info("stopping", {{"signal", std::to_string(signal)}});
  notify("STOPPING=1");
  const auto deadline = std::chrono::system_clock::now() + kStopLimit;
  for (Listener& listener : listeners) listener.server->stop(deadline);
}

}  // namespace

int run(const config::Config& config, const RunOptions& options, const log::Log& log) {
  raise_descriptor_limit(log);
  try {
    serve(config, options, log);
    log.info("stopped");
    return kExitOk;
  } catch (const Error& e) {
    log.error(e.what());
    // A plugin that hangs in open() still has a thread that static objects must not be taken away from.
    if (e.code() == Code::kDeadlineExceeded) ::_exit(kExitFailure);
    return e.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
  } catch (const std::exception& e) {
    log.error(e.what());
    return kExitFailure;
  }
}

}  // namespace ipcs::daemon
