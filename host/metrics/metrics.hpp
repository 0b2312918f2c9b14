// What the daemon counts, for Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ipcs/error.hpp"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
template <typename T>
class Family;
}  // namespace prometheus

namespace ipcs::metrics {

// A number that only grows. [thread-safe]
class Counter {
 public:
  void add(double amount = 1) noexcept;
  double value() const noexcept;

 private:
  friend class Metrics;
  prometheus::Counter* counter_ = nullptr;
};

// A number that goes up and down. [thread-safe]
class Gauge {
 public:
  void add(double amount) noexcept;
  void set(double value) noexcept;

 private:
  friend class Metrics;
  prometheus::Gauge* gauge_ = nullptr;
};

// One under a gauge as long as it lives, e.g. an open read.
class Held {
 public:
  explicit Held(Gauge& gauge) noexcept : gauge_(gauge) { gauge_.add(1); }
  Held(const Held&) = delete;
  ~Held() { gauge_.add(-1); }

 private:
  Gauge& gauge_;
};

// The calls of one RPC method.
class Rpc {
 public:
  // Counts a call that ended with `code` after `took`. [thread-safe]
  void done(Code code, std::chrono::nanoseconds took) noexcept;

 private:
  friend class Metrics;
  std::string service_, method_;
  prometheus::Family<prometheus::Counter>* handled_ = nullptr;
  prometheus::Histogram* seconds_ = nullptr;
  std::array<std::atomic<prometheus::Counter*>, 17> by_code_{};  // made when the code comes up first
};

// A value that is looked up when somebody asks. `name` is a metric's name.
struct Sample {
  std::string name;
  std::string help;
  double value = 0;
};

// All metrics of a process. References that it hands out live as long as it does: take them once, not per call. All
// functions are [thread-safe].
class Metrics {
 public:
  Metrics();
  Metrics(const Metrics&) = delete;
  ~Metrics();

  // The calls of a method, named as on the wire: "/containerd.services.content.v1.Content/Read". The same name gives
  // the same object.
  Rpc& rpc(std::string_view full_method);

  Counter& bytes_read() noexcept { return bytes_read_; }
  Counter& bytes_written() noexcept { return bytes_written_; }
  Gauge& open_reads() noexcept { return open_reads_; }
  Gauge& open_writes() noexcept { return open_writes_; }

  // What a plugin reports through ipcs_host.metric: adds to (IPCS_METRIC_COUNTER) or sets (IPCS_METRIC_GAUGE)
  // ipcs_plugin_<name>{plugin="…"}. Drops a name that is not [a-z0-9_]{1,64}, one first used with another kind, a
  // counter's value that is negative, what is not a finite number, and new names beyond 256.
  void plugin_metric(std::string_view plugin, std::string_view name, int32_t kind, double value) noexcept;

  // Asks `source` for gauges at each scrape, on the scraping thread. It may throw: its samples are then missing, and
  // ipcs_scrape_errors_total counts. What it refers to outlives this object.
  void at_scrape(std::function<std::vector<Sample>()> source);

  // Everything, in Prometheus' text format.
  std::string scrape();

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
  Counter bytes_read_, bytes_written_;
  Gauge open_reads_, open_writes_;
};

}  // namespace ipcs::metrics
