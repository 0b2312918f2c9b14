// Two methods and one bit of state. Not grpc++'s own health service: it brings gRPC's callback threads, which then take
// every event of the server and pass it on, at twice the CPU a read.
#include "service/health_service.hpp"

#include <grpc/health/v1/health.pb.h>

#include <chrono>

#include "ipcs/error.hpp"
#include "service/messages.hpp"

namespace ipcs::service {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr auto kCancelInterval = std::chrono::milliseconds(100);  // between looks at whether a watcher has gone

grpc::ByteBuffer answer(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return serialize(response);
}

HealthCheckResponse::ServingStatus status_of(HealthService& health) {
  return health.stopped() ? HealthCheckResponse::NOT_SERVING : HealthCheckResponse::SERVING;
}

class Check final : public Exchange {
 public:
  explicit Check(HealthService& health) : health_(health) {}
  Lane lane(grpc::ByteBuffer&) override { return Lane::kInline; }
  Step on_request(const Call&, grpc::ByteBuffer& message) override {
    HealthCheckRequest request;
    parse(message, &request);
    if (!health_.known(request.service())) throw Error(Code::kNotFound, "unknown service " + request.service());
    return {answer(status_of(health_)), Next::kFinish};
  }

 private:
  HealthService& health_;
};

class Watch final : public Exchange {
 public:
  explicit Watch(HealthService& health) : health_(health) {}
  Lane lane(grpc::ByteBuffer&) override { return Lane::kRemote; }  // it waits, if not for a network
  Step on_request(const Call&, grpc::ByteBuffer& message) override {
    HealthCheckRequest request;
    parse(message, &request);
    known_ = health_.known(request.service());
    return {answer(known_ ? status_of(health_) : HealthCheckResponse::SERVICE_UNKNOWN), Next::kSendMore};
  }
  Step on_sent(const Call& call) override {
    if (!health_.wait_for_stop(call)) throw Error(Code::kCancelled, "the client has gone");
    if (!known_) return {};
    return {answer(HealthCheckResponse::NOT_SERVING), Next::kFinish};
  }

 private:
  HealthService& health_;
  bool known_ = false;
};

}  // namespace

HealthService::HealthService(const std::vector<Method>& offered) : services_{""} {
  for (const Method& method : offered) services_.insert(method.path.substr(1, method.path.rfind('/') - 1));
}

std::vector<Method> HealthService::methods() {
  return {{"/grpc.health.v1.Health/Check", [this] { return std::make_unique<Check>(*this); }, nullptr},
          {"/grpc.health.v1.Health/Watch", [this] { return std::make_unique<Watch>(*this); }, nullptr}};
}

void HealthService::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

bool HealthService::stopped() {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

bool HealthService::wait_for_stop(const Call& call) {
  std::unique_lock lock(mutex_);
  while (!stopped_ && !call.cancelled()) changed_.wait_for(lock, kCancelInterval);
  return stopped_;
}

}  // namespace ipcs::service
