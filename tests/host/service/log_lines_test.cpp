// What a call leaves in the log and in its status: the trace that it belongs to, and no flood of a client's bytes.
#include <grpc/health/v1/health.grpc.pb.h>

#include "host/content/captured.hpp"
#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
namespace api = containerd::services::content::v1;

namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736", kSpan = "00f067aa0ba902b7";

// One call that finds nothing and one that succeeds, each within the trace.
void call_twice(Daemon& daemon) {
  const auto in_trace = [](grpc::ClientContext& context) {
    context.AddMetadata("traceparent", "00-" + kTrace + "-" + kSpan + "-01");
  };
  api::InfoRequest request;
  api::InfoResponse response;
  {
    grpc::ClientContext context;
    in_trace(context);
    request.set_digest(digest_of("nothing").to_string());
    REQUIRE(daemon.stub->Info(&context, request, &response).error_code() == grpc::StatusCode::NOT_FOUND);
  }
  {
    grpc::ClientContext context;
    in_trace(context);
    request.set_digest(daemon.world.put(daemon.world.a, "foo").to_string());
    REQUIRE(daemon.stub->Info(&context, request, &response).ok());
  }
}

}  // namespace

TEST_CASE("at level debug each call is one line with its trace") {
  TempDir dir;
  Captured captured(dir);
  {
    Daemon daemon("a", log::Log(log::Level::kDebug));
    call_twice(daemon);
  }
  CHECK(captured.with({"trace_id=" + kTrace, "span_id=" + kSpan, "rpc=Info", "code=NOT_FOUND"}).size() == 1);
  CHECK(captured.with({"trace_id=" + kTrace, "span_id=" + kSpan, "rpc=Info", "code=OK", " us="}).size() == 1);
  CHECK(captured.with({kTrace}).size() == 2);
}

TEST_CASE("a failure that is ours is a line at any level, with its trace; an everyday answer is none") {
  TempDir dir;
  Captured captured(dir);
  {
    Daemon daemon("a", log::Log(log::Level::kInfo));
    call_twice(daemon);
    // Bytes that are fewer than were committed.
    const oci::Digest digest = daemon.world.put(daemon.world.a, "damaged");
    {
      const std::lock_guard lock(daemon.world.memory->mutex);
      daemon.world.memory->blobs.at(digest.to_string()).bytes = std::make_shared<const Bytes>(bytes_of("dam"));
    }
    grpc::ClientContext context;
    context.AddMetadata("traceparent", "00-" + kTrace + "-" + kSpan + "-01");
    api::InfoRequest request;
    api::InfoResponse response;
    request.set_digest(digest.to_string());
    REQUIRE(daemon.stub->Info(&context, request, &response).error_code() == grpc::StatusCode::DATA_LOSS);
  }
  CHECK(captured.with({"level=error", "trace_id=" + kTrace, "code=DATA_LOSS"}).size() == 1);
  CHECK(captured.with({kTrace}).size() == 1);
}

TEST_CASE("what a client says is repeated escaped and cut") {
  Daemon daemon;
  const std::string foreign = "a\nb" + std::string(1 << 20, 'p');
  const auto check = [](const grpc::Status& status) {
    CHECK_FALSE(status.ok());
    CHECK(status.error_message().size() < 500);
    CHECK(status.error_message().find('\n') == std::string::npos);
    CHECK_THAT(status.error_message(), Catch::Contains("a\\x0ab"));
  };
  {
    grpc::ClientContext context;
    api::UpdateRequest request;
    api::UpdateResponse response;
    request.mutable_info()->set_digest(digest_of("x").to_string());
    request.mutable_update_mask()->add_paths(foreign);
    check(daemon.stub->Update(&context, request, &response));
  }
  {
    grpc::ClientContext context;
    api::StatusRequest request;
    api::StatusResponse response;
    request.set_ref(foreign);
    check(daemon.stub->Status(&context, request, &response));
  }
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  grpc::health::v1::HealthCheckResponse response;
  request.set_service(foreign);
  check(grpc::health::v1::Health::NewStub(daemon.channel)->Check(&context, request, &response));
}
