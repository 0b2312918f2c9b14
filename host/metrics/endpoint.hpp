// The HTTP address where metrics and health are asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "metrics/metrics.hpp"

namespace ipcs::metrics {

// Serves, from construction to destruction, with three threads of its own:
//   /metrics  the metrics in Prometheus' text format
//   /livez    200 while the process answers
//   /readyz   200 "ok", or 503 with the reason
// to GET and HEAD. Make none when no address is configured: nothing of it runs then.
class Endpoint {
 public:
  // Why the daemon can't serve at the moment, empty when it can. Called on the endpoint's threads; may throw.
  using Readiness = std::function<std::string()>;

  // `address` is "host:port" as in the configuration; port 0 takes a free one. `metrics` and what `readiness` refers to
  // outlive the endpoint. IPv4 only, as Debian builds civetweb. Throws Error kUnavailable naming the address when it
  // can't be bound.
  Endpoint(const std::string& address, Metrics& metrics, Readiness readiness);
  Endpoint(const Endpoint&) = delete;
  // Waits for requests under way.
  ~Endpoint();

  // The port in use.
  int port() const noexcept { return port_; }

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::string host_;
  int port_ = 0;
};

}  // namespace ipcs::metrics
