// A data race on purpose, in a handler behind gRPC: passes only where the thread sanitizer reports it. So what is told
// to that sanitizer (to ignore gRPC's modules, and what gRPC's queue orders) does not hide our own races.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "host/service/daemon.hpp"
#include "service/messages.hpp"

using namespace ipcs;
using namespace std::chrono_literals;
namespace api = containerd::services::content::v1;

namespace {

struct Planted {
  int answered = 0;  // the race: two threads of a lane count here without a lock
  // Relaxed, so that it orders nothing: both calls are in their handlers before one counts.
  std::atomic<int> inside{0};
};

class CountWithoutLock final : public service::Exchange {
 public:
  explicit CountWithoutLock(Planted& planted) : planted_(planted) {}
  service::Lane lane(grpc::ByteBuffer&) override { return service::Lane::kLocal; }
  service::Step on_request(const Call&, grpc::ByteBuffer&) override {
    planted_.inside.fetch_add(1, std::memory_order_relaxed);
    while (planted_.inside.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
    planted_race();
    std::this_thread::sleep_for(100ms);  // until the other has counted too: what comes next takes locks
    return {service::serialize(api::InfoResponse())};
  }

 private:
  __attribute__((noinline)) void planted_race() { ++planted_.answered; }
  Planted& planted_;
};

void call(const std::string& socket) {
  const auto stub = api::Content::NewStub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 30s);
  api::InfoResponse response;
  const grpc::Status status = stub->Info(&context, api::InfoRequest(), &response);
  if (!status.ok()) std::printf("a call failed: %s\n", status.error_message().c_str());
}

}  // namespace

int main() {
  const test::TempDir dir;
  const std::string socket = dir / "s.sock";
  Planted planted;
  service::Lanes lanes;
  const service::Method method{"/containerd.services.content.v1.Content/Info",
                               [&] { return std::make_unique<CountWithoutLock>(planted); }};
  const auto server = service::Server::start({socket, {}, {}, 0600}, {{method}, {}}, lanes, log::Log::none());
  std::thread one([&] { call(socket); }), two([&] { call(socket); });
  one.join();
  two.join();
  std::puts("nobody reported a race");
}
