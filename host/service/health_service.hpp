// grpc.health.v1.Health of one server.
#pragma once

#include <grpcpp/alarm.h>

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

  // `tag` comes out of `queue` when stop() is called (at once if it was) or wake(alarm) is.
  void wait(grpc::Alarm& alarm, grpc::CompletionQueue& queue, void* tag);
  void wake(grpc::Alarm& alarm);
  // The alarm is about to go. To be called for each that waited.
  void forget(grpc::Alarm& alarm);

 private:
  std::set<std::string> services_;
  std::mutex mutex_;
  std::set<grpc::Alarm*> waiting_;
  bool stopped_ = false;
};

}  // namespace ipcs::service
