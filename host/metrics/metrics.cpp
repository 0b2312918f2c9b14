// Metrics kept by prometheus-cpp.
#include "metrics/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

namespace ipcs::metrics {
namespace {

constexpr size_t kPluginMetricsMax = 256;  // a plugin must not fill the memory with names

// From a stat answered in the daemon to a commit that waits for a slow disk, in seconds.
const prometheus::Histogram::BucketBoundaries kSeconds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,    0.25,    0.5,    1,     2.5,    5,     10,   60};

bool is_plugin_metric_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

prometheus::MetricFamily to_family(const Sample& sample) {
  prometheus::MetricFamily family;
  family.name = sample.name;
  family.help = sample.help;
  family.type = prometheus::MetricType::Gauge;
  family.metric.emplace_back();
  family.metric.back().gauge.value = sample.value;
  return family;
}

}  // namespace

struct Metrics::Registry {
  // A plugin's metric: one of the two.
  struct FromPlugin {
    prometheus::Counter* counter = nullptr;
    prometheus::Gauge* gauge = nullptr;
  };

  prometheus::Registry metrics;
  prometheus::Family<prometheus::Counter>& handled =
      prometheus::BuildCounter().Name("grpc_server_handled_total").Help("Calls answered, by code.").Register(metrics);
  prometheus::Family<prometheus::Histogram>& seconds = prometheus::BuildHistogram()
                                                           .Name("grpc_server_handling_seconds")
                                                           .Help("Time from a call's arrival to its end.")
                                                           .Register(metrics);
  prometheus::Counter& scrape_errors = prometheus::BuildCounter()
                                           .Name("ipcs_scrape_errors_total")
                                           .Help("Sources of metrics that failed when asked.")
                                           .Register(metrics)
                                           .Add({});
  std::mutex mutex;  // guards what follows
  std::map<std::string, std::unique_ptr<Rpc>, std::less<>> rpcs;
  std::map<std::pair<std::string, std::string>, FromPlugin> plugins;  // plugin and name
  std::map<std::string, int32_t> kinds;                               // of the plugins' names
  std::vector<std::function<std::vector<Sample>()>> sources;

  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(metrics).Add({});
  }
  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(metrics).Add({});
  }
  // The metric, made when there is none; nothing when it can't be. Called with the mutex held.
  FromPlugin from_plugin(const std::string& plugin, const std::string& name, int32_t kind) {
    const auto known = plugins.find({plugin, name});
    if (known != plugins.end()) return known->second;
    const auto of_name = kinds.find(name);
    if ((of_name != kinds.end() && of_name->second != kind) || plugins.size() >= kPluginMetricsMax) return {};
    FromPlugin made;
    const std::string full = "ipcs_plugin_" + name;
    const std::string help = "Reported by the plugin.";
    if (kind == IPCS_METRIC_COUNTER)
      made.counter = &prometheus::BuildCounter().Name(full).Help(help).Register(metrics).Add({{"plugin", plugin}});
    else
      made.gauge = &prometheus::BuildGauge().Name(full).Help(help).Register(metrics).Add({{"plugin", plugin}});
    kinds.emplace(name, kind);
    plugins.emplace(std::pair(plugin, name), made);
    return made;
  }
};

void Counter::add(double amount) noexcept {
  counter_->Increment(amount);
}

double Counter::value() const noexcept { return counter_->Value(); }
void Gauge::add(double amount) noexcept {
  gauge_->Increment(amount);
}
void Gauge::set(double value) noexcept {
  gauge_->Set(value);
}

void Rpc::done(Code code, std::chrono::nanoseconds took) noexcept {
  size_t index = static_cast<size_t>(code);
  if (index >= by_code_.size()) index = static_cast<size_t>(Code::kUnknown);
  prometheus::Counter* counter = by_code_[index].load(std::memory_order_acquire);
  try {
    if (counter == nullptr) {
      // Two threads may come here at once: the family gives both the same counter.
      counter = &handled_->Add(
          {{"grpc_service", service_}, {"grpc_method", method_}, {"grpc_code", code_name(static_cast<Code>(index))}});
      by_code_[index].store(counter, std::memory_order_release);
    }
    counter->Increment();
    seconds_->Observe(std::chrono::duration<double>(took).count());
  } catch (const std::exception&) {
    // Out of memory for a counter: the call itself must not fail for it.
  }
}

Metrics::Metrics() : registry_(std::make_unique<Registry>()) {
  bytes_read_.counter_ = &registry_->counter("ipcs_read_bytes_total", "Bytes of blobs sent to clients.");
  bytes_written_.counter_ = &registry_->counter("ipcs_written_bytes_total", "Bytes of ingests taken from clients.");
  open_reads_.gauge_ = &registry_->gauge("ipcs_open_reads", "Reads under way.");
  open_writes_.gauge_ = &registry_->gauge("ipcs_open_writes", "Writes under way.");
  prometheus::BuildGauge()
      .Name("ipcs_build_info")
      .Help("The program's version; the value is 1.")
      .Register(registry_->metrics)
      .Add({{"version", IPCS_VERSION}})
      .Set(1);
}

Metrics::~Metrics() = default;

Rpc& Metrics::rpc(std::string_view full_method) {
  const std::lock_guard lock(registry_->mutex);
  auto& slot = registry_->rpcs[std::string(full_method)];
  if (!slot) {
    auto rpc = std::make_unique<Rpc>();
    const std::string_view name = full_method.substr(full_method.starts_with('/') ? 1 : 0);
    const size_t slash = name.find('/');
    if (slash != std::string_view::npos) rpc->service_ = name.substr(0, slash);
    rpc->method_ = slash == std::string_view::npos ? name : name.substr(slash + 1);
    rpc->handled_ = &registry_->handled;
    rpc->seconds_ = &registry_->seconds.Add({{"grpc_service", rpc->service_}, {"grpc_method", rpc->method_}}, kSeconds);
    slot = std::move(rpc);
  }
  return *slot;
}

void Metrics::plugin_metric(std::string_view plugin, std::string_view name, int32_t kind, double value) noexcept {
  if (!is_plugin_metric_name(name) || !std::isfinite(value)) return;
  if (kind != IPCS_METRIC_COUNTER && kind != IPCS_METRIC_GAUGE) return;
  if (kind == IPCS_METRIC_COUNTER && value < 0) return;
  try {
    const std::lock_guard lock(registry_->mutex);
    const Registry::FromPlugin metric = registry_->from_plugin(std::string(plugin), std::string(name), kind);
    if (kind == IPCS_METRIC_COUNTER && metric.counter != nullptr) metric.counter->Increment(value);
    if (kind == IPCS_METRIC_GAUGE && metric.gauge != nullptr) metric.gauge->Set(value);
  } catch (const std::exception&) {
    // Out of memory for a metric: the plugin's call must not fail for it.
  }
}

void Metrics::at_scrape(std::function<std::vector<Sample>()> source) {
  const std::lock_guard lock(registry_->mutex);
  registry_->sources.push_back(std::move(source));
}

std::string Metrics::scrape() {
  std::vector<std::function<std::vector<Sample>()>> sources;
  {
    // Sources may take their time, and plugins must not wait for them.
    const std::lock_guard lock(registry_->mutex);
    sources = registry_->sources;
  }
  std::vector<prometheus::MetricFamily> extra;
  for (const auto& source : sources) {
    try {
      for (const Sample& sample : source()) extra.push_back(to_family(sample));
    } catch (const std::exception&) {
      registry_->scrape_errors.Increment();
    }
  }
  std::vector<prometheus::MetricFamily> families = registry_->metrics.Collect();
  families.insert(families.end(), extra.begin(), extra.end());
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

}  // namespace ipcs::metrics
