// Start and end of the daemon, in the order in which things need each other.
#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "catalog/catalog.hpp"
#include "content/background_copy.hpp"
#include "content/content.hpp"
#include "content/recovery.hpp"
#include "content/stores.hpp"
#include "content/usage.hpp"
#include "daemon/backend_config.hpp"
#include "daemon/memory.hpp"
#include "daemon/notify.hpp"
#include "daemon/signals.hpp"
#include "ipcs/error.hpp"
#include "metrics/endpoint.hpp"
#include "metrics/metrics.hpp"
#include "plugin/loader.hpp"
#include "plugin/registry.hpp"
#include "service/admin_service.hpp"
#include "diff/unpacker.hpp"
#include "service/dag_service.hpp"
#include "service/diff_service.hpp"
#include "service/content_service.hpp"
#include "service/server.hpp"
#include "trace/exporter.hpp"

namespace ipcs::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto kOpenLimit = 60s;  // for the backend's open()
constexpr auto kStopLimit = 5s;   // for requests that run when the daemon ends
constexpr auto kHangLimit = 5s;   // for the backend to notice that they were cancelled
constexpr auto kMemoryInterval = 10s;  // between looks at memory that was freed

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

Store open_store(const std::string& name, bool read_only, const config::Config& config, const loader::Registry& registry,
                 metrics::Metrics& metrics, const log::Log& log) {
  const std::string json = config::plugin_json(config, name);
  const loader::LoadedPlugin plugin = load_plugin(config, registry, name);
  log.info(read_only ? "previous backend loaded" : "backend loaded",
           {{"backend", name}, {"version", plugin.table().version}, {"path", plugin.path()}});
  loader::OpenRequest request;
  request.config_json = json;
  request.read_only = read_only;
  request.deadline = Call::Clock::now() + kOpenLimit;
  request.services.log = log;
  request.services.metric = [&metrics, name](std::string_view metric, ipcs_metric_kind kind, double value) {
    metrics.plugin_metric(name, metric, kind, value);
  };
  request.services.scratch_dir = config.root + "/scratch/" + name;
  return plugin.open(std::move(request));
}

// The store behind the daemon and, where the configuration names it, the one before it.
struct OpenStores {
  OpenStores(const config::Config& config, const loader::Registry& registry, metrics::Metrics& metrics,
             const log::Log& log) {
    registry.warn(log, {config.backend, config.previous});
    // The configuration's faults are told before any code of a plugin runs.
    check_tables(config, registry, [&](const std::string& text) { log.warn(text); });
    select_plugin(config, registry, "backend");
    if (!config.previous.empty()) select_plugin(config, registry, "previous");
    current.emplace(open_store(config.backend, false, config, registry, metrics, log));
    if (!config.previous.empty()) {
      try {
        previous.emplace(open_store(config.previous, true, config, registry, metrics, log));
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("previous backend: {}", e.what()));
      }
    }
    both.emplace(*current, previous ? &*previous : nullptr);
  }

  std::optional<Store> current, previous;
  std::optional<content::Stores> both;
};

content::RecoveryReport recover(const config::Config& config, const RunOptions& options, content::Stores& stores,
                                catalog::Catalog& catalog, const content::Content& content, const log::Log& log) {
  content::RecoveryOptions how;
  for (const config::Socket& socket : config.grpc) how.clients.push_back(socket.name);
  how.adopt_for_containerd = config.adopt == config::Adopt::kContainerd;
  how.allow_missing = options.allow_missing;
  how.backend = config.backend;
  how.previous = config.previous;
  content::RecoveryReport report;
  try {
    report = content::recover(Call(), stores, catalog, content.now(), how, log);
  } catch (const Error& e) {
    if (e.code() != Code::kFailedPrecondition) throw;
    throw Error(Code::kInvalidArgument, e.what());  // another store: for the operator to decide
  }
  log.info("store opened", {{"backend", config.backend},
                            {"location", stores.current().info(Call()).location},
                            {"blobs", std::to_string(report.blobs)},
                            {"bytes", std::to_string(report.bytes)},
                            {"adopted", std::to_string(report.adopted)},
                            {"missing", std::to_string(report.missing)},
                            {"damaged", std::to_string(report.damaged)},
                            {"dropped_ingests", std::to_string(report.dropped_ingests)}});
  if (stores.previous() == nullptr) return report;
  log.info("previous store opened", {{"backend", config.previous},
                                     {"location", stores.previous()->info(Call()).location},
                                     {"blobs_to_copy", std::to_string(report.to_copy.count)},
                                     {"bytes_to_copy", std::to_string(report.to_copy.bytes)}});
  if (report.to_copy.count == 0)
    log.warn("the previous backend is not needed any more: take `previous` out of the configuration",
             {{"previous", config.previous}});
  return report;
}

// A name in the configuration that was changed or dropped leaves claims and ingests that no containerd can delete.
void warn_of_former_clients(const config::Config& config, content::Content& content, const log::Log& log) {
  std::vector<std::string> configured;
  for (const config::Socket& socket : config.grpc) configured.push_back(socket.name);
  for (const auto& [name, holds] : content::former_clients(Call(), content, configured)) {
    const std::string client = content::printable(name);
    log.warn(fmt::format("client \"{}\" is not configured any more but still holds blobs or ingests: configure a socket "
                         "of that name again, or drop what it holds with `ipcsctl client rm {}`",
                         client, client),
             {{"client", client},
              {"claims", std::to_string(holds.claims.count)},
              {"bytes", std::to_string(holds.claims.bytes)},
              {"ingests", std::to_string(holds.ingests.count)},
              {"ingest_bytes", std::to_string(holds.ingests.bytes)}});
  }
}

service::Endpoint to_endpoint(const config::Socket& socket) {
  return {socket.address, socket.uid, socket.gid, socket.mode};
}

service::AdminService::Facts facts(const config::Config& config, const loader::Registry& registry,
                                   const content::RecoveryReport& recovery, const diff::Unpacker* unpacker) {
  service::AdminService::Facts facts;
  facts.recovery = recovery;
  facts.selected_plugin = registry.select(config.backend).path;
  if (!config.previous.empty()) facts.previous_plugin = registry.select(config.previous, "previous").path;
  for (const config::Socket& socket : config.grpc) facts.clients.push_back({socket.name, socket.address});
  if (unpacker != nullptr) {
    facts.diff_address = config.diff.address;
    facts.unpacked = &unpacker->totals();
  }
  for (const loader::PluginFile& file : registry.files()) {
    const bool read = file.state != loader::PluginState::kRefused;
    facts.plugins.push_back({file.name, file.facts.version, file.facts.description, file.facts.build,
                             read ? uint32_t{IPCS_ABI_MAJOR} : 0, file.facts.abi_minor, file.path,
                             loader::state_name(file.state), file.reason});
  }
  return facts;
}

// What a scrape asks for: the state of the store and the catalog.
std::vector<metrics::Sample> samples(content::Content& content) {
  const catalog::Totals totals = content.catalog().totals();
  const StoreInfo info = content.backend().info(Call());
  const content::Amount to_copy = content.stores().lacking();
  return {{"ipcs_blobs", "Blobs that somebody holds.", static_cast<double>(totals.blobs)},
          {"ipcs_blob_bytes", "Their bytes.", static_cast<double>(totals.bytes)},
          {"ipcs_claims", "Blobs of containerds, each counted for each of them.", static_cast<double>(totals.claims)},
          {"ipcs_pins", "Blobs held by the operator.", static_cast<double>(totals.pins)},
          {"ipcs_ingests", "Blobs that are being written.", static_cast<double>(totals.ingests)},
          {"ipcs_store_used_bytes", "Bytes that blobs and ingests take.", static_cast<double>(info.used_bytes)},
          {"ipcs_store_free_bytes", "Bytes that can still be stored.", static_cast<double>(info.free_bytes)},
          {"ipcs_to_copy_blobs", "Blobs that lie in the previous store only.", static_cast<double>(to_copy.count)},
          {"ipcs_to_copy_bytes", "Their bytes.", static_cast<double>(to_copy.bytes)},
          {"ipcs_store_full", "1 when new writes are refused.", info.full ? 1.0 : 0.0}};
}

// Ends a daemon that can't end by itself: a plugin that hangs keeps its thread, and gRPC waits for it. What was
// acknowledged is safe from a kill, so nothing is lost.
class StopWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // Its thread is made before it is needed: the system may have none to give then.
  explicit StopWatch(log::Log log)
      : thread_([this, log = std::move(log)] {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return over_ || deadline_ != Clock::time_point::max(); });
          if (changed_.wait_until(lock, deadline_, [this] { return over_; })) return;
          log.error("a request hangs in the backend; ending without it");
          ::_exit(kExitFailure);
        }) {}
  ~StopWatch() { disarm(); thread_.join(); }

  // The process ends at `deadline` unless disarm() is called before.
  void arm(Clock::time_point deadline) {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline;
    changed_.notify_one();
  }
  void disarm() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool over_ = false;
  std::thread thread_;
};

// What became of the spans for the trace collector.
std::vector<metrics::Sample> samples(const trace::Exporter& exporter) {
  const trace::Exporter::Counts counts = exporter.counts();
  return {{"ipcs_trace_spans_sent", "Spans that the trace collector has taken.", static_cast<double>(counts.sent)},
          {"ipcs_trace_spans_dropped", "Spans that it has not.", static_cast<double>(counts.dropped)}};
}

// What unpacks layers, where the configuration asks for it.
std::unique_ptr<diff::Unpacker> make_unpacker(const config::Config& config, content::Content& content,
                                              metrics::Metrics& metrics, const log::Log& log) {
  if (config.diff.address.empty()) return nullptr;
  std::error_code error;
  const std::string executable = std::filesystem::read_symlink("/proc/self/exe", error).string();
  diff::Unpacker::Options options{diff::find_worker(executable), config.root + "/unpack", config.diff_max_size, log};
  make_root(options.mount_point);
  auto unpacker = std::make_unique<diff::Unpacker>(content, std::move(options));
  metrics.at_scrape([totals = &unpacker->totals()] { return diff::samples(*totals); });
  return unpacker;
}

// Sockets with their services; servers go before what they call.
struct Listeners {
  std::vector<std::unique_ptr<service::ContentService>> contents;
  std::unique_ptr<service::AdminService> admin;
  std::unique_ptr<service::DagService> dag;
  std::unique_ptr<service::DiffService> diff;
  service::Lanes lanes;
  const std::shared_ptr<service::ReadMemory> read_memory = std::make_shared<service::ReadMemory>();
  trace::Exporter* exporter = nullptr;  // none: spans go nowhere
  std::vector<std::unique_ptr<service::Server>> servers;

  void add(const config::Socket& socket, content::Content& content, bool is_operator, metrics::Metrics& metrics,
           const log::Log& log) {
    contents.push_back(
        std::make_unique<service::ContentService>(content, content::Client{socket.name, is_operator}, &metrics, read_memory));
    service::Offer offer{contents.back()->methods(), {}, exporter};
    if (is_operator) offer.services = {admin.get(), dag.get()};
    servers.push_back(service::Server::start(to_endpoint(socket), std::move(offer), lanes, log));
    log.info("listening", {{"client", socket.name}, {"address", socket.address}});
  }

  void add_diff(const config::Socket& socket, diff::Unpacker& unpacker, metrics::Metrics& metrics, const log::Log& log) {
    diff = std::make_unique<service::DiffService>(unpacker, &metrics);
    servers.push_back(service::Server::start(to_endpoint(socket), service::Offer{diff->methods(), {}, exporter}, lanes, log));
    log.info("listening", {{"client", socket.name}, {"address", socket.address}});
  }
};

void serve(const config::Config& config, const RunOptions& options, const log::Log& log) {
  Signals signals;
  make_root(config.root);
  const auto catalog = catalog::Catalog::open(config.root + "/catalog.db");
  metrics::Metrics metrics;
  const loader::Registry registry = loader::Registry::scan(config.plugin_dirs, loader::Identity::current());
  OpenStores stores(config, registry, metrics, log);
  content::Content content(*stores.both, *catalog, {.look_up_timeout = config.look_up_timeout, .now = {}, .log = log});
  const content::RecoveryReport recovery = recover(config, options, *stores.both, *catalog, content, log);
  warn_of_former_clients(config, content, log);
  metrics.at_scrape([&content] { return samples(content); });
  std::optional<trace::Exporter> exporter;
  if (!config.trace_address.empty()) {
    exporter.emplace(config.trace_address, log);
    metrics.at_scrape([&exporter] { return samples(*exporter); });
  }

  const std::unique_ptr<diff::Unpacker> unpacker = make_unpacker(config, content, metrics, log);

  std::atomic<bool> ready{false};
  std::unique_ptr<metrics::Endpoint> endpoint;
  if (!config.metrics_address.empty()) {
    endpoint = std::make_unique<metrics::Endpoint>(config.metrics_address, metrics,
                                                   [&ready] { return ready ? "" : "starting or stopping"; });
  }
  StopWatch watch(log);
  signals.hold();  // as soon as somebody can connect, the end is an orderly one
  Listeners listeners;
  listeners.admin = std::make_unique<service::AdminService>(content, facts(config, registry, recovery, unpacker.get()), log);
  listeners.dag = std::make_unique<service::DagService>(content, log);
  if (exporter) listeners.exporter = &*exporter;
  for (const config::Socket& socket : config.grpc) listeners.add(socket, content, false, metrics, log);
  listeners.add(config.control, content, true, metrics, log);
  if (unpacker) listeners.add_diff(config.diff, *unpacker, metrics, log);

  std::optional<content::BackgroundCopy> copy;
  if (config.copy_rate > 0 && stores.both->lacking().count > 0) {
    const auto activity = [&metrics] { return metrics.bytes_read().value() + metrics.bytes_written().value(); };
    copy.emplace(content, content::BackgroundCopy::Options{.rate = config.copy_rate, .activity = activity}, log);
  }
  ready = true;
  notify("READY=1");
  log.info("ready", {{"version", IPCS_VERSION}, {"pid", std::to_string(::getpid())}});
  const int signal = signals.wait_for_end(kMemoryInterval, release_free_memory);
  log.info("stopping", {{"signal", std::to_string(signal)}});
  ready = false;
  notify("STOPPING=1");
  const auto deadline = StopWatch::Clock::now() + kStopLimit;
  watch.arm(deadline + kHangLimit);
  copy.reset();
  for (const auto& server : listeners.servers) server->stop(deadline);
  content.stop_look_ups();
  watch.disarm();
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
