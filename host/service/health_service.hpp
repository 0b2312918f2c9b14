// grpc.health.v1.Health of one server.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "service/exchange.hpp"

namespace ipcs::service {

// Says SERVING for the server as a whole (the empty name) and for each service it offers, from construction until stop().
// [thread-safe]
class HealthService {
 public:
  // `offered`: the methods of the services.
  explicit HealthService(const std::vector<Method>& offered);
  HealthService(const HealthService&) = delete;

  // Check and Watch, for a server; they refer to this object.
  std::vector<Method> methods();

  // From now on NOT_SERVING; watchers are told, and their streams end.
  void stop();

  bool known(const std::string& service) const { return services_.contains(service); }
  bool stopped();
  // Waits until stop() has been called or the call is cancelled; says which: true when stopped.
  bool wait_for_stop(const Call& call);

 private:
  std::set<std::string> services_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
};

}  // namespace ipcs::service
