// Two methods and one bit of state. Not grpc++'s own health service: it brings gRPC's callback threads, which then take
// every event of the server and pass it on, at twice the CPU a read.
#include "service/health_service.hpp"

#include <grpc/health/v1/health.pb.h>

#include "content/content.hpp"
#include "ipcs/error.hpp"
#include "service/messages.hpp"

namespace ipcs::service {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

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
    if (!health_.known(request.service())) throw Error(Code::kNotFound, "unknown service " + content::printable(request.service()));
    return {answer(status_of(health_)), Next::kFinish};
  }

 private:
  HealthService& health_;
};

// Waits without a thread: thousands of watchers would leave none to anybody else.
class Watch final : public Exchange {
 public:
  explicit Watch(HealthService& health) : health_(health) {}
  ~Watch() override { health_.forget(alarm_); }
  Lane lane(grpc::ByteBuffer&) override { return Lane::kInline; }
  Step on_request(const Call&, grpc::ByteBuffer& message) override {
    HealthCheckRequest request;
    parse(message, &request);
    known_ = health_.known(request.service());
    return {answer(known_ ? status_of(health_) : HealthCheckResponse::SERVICE_UNKNOWN), Next::kSendMore};
  }
  Step on_sent(const Call& call) override {
    if (call.cancelled()) throw Error(Code::kCancelled, "the client has gone");
    if (!parked_) {
      parked_ = true;
      return {std::nullopt, Next::kPark};
    }
    if (!known_) return {};
    return {answer(HealthCheckResponse::NOT_SERVING), Next::kFinish};
  }
  void park(grpc::CompletionQueue& queue, void* tag) override { health_.wait(alarm_, queue, tag); }
  void unpark() override { health_.wake(alarm_); }

 private:
  HealthService& health_;
  grpc::Alarm alarm_;
  bool known_ = false, parked_ = false;
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
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (grpc::Alarm* alarm : waiting_) alarm->Cancel();
}

bool HealthService::stopped() {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

void HealthService::wait(grpc::Alarm& alarm, grpc::CompletionQueue& queue, void* tag) {
  const std::lock_guard lock(mutex_);
  alarm.Set(&queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), tag);
  if (stopped_) return alarm.Cancel();
  waiting_.insert(&alarm);
}

void HealthService::wake(grpc::Alarm& alarm) {
  const std::lock_guard lock(mutex_);
  alarm.Cancel();
}

void HealthService::forget(grpc::Alarm& alarm) {
  const std::lock_guard lock(mutex_);
  waiting_.erase(&alarm);
}

}  // namespace ipcs::service
