// What the diff service refuses before a worker is started, and that the log says so.
#include "service/diff_service.hpp"

#include <services/diff/v1/diff.pb.h>
#include <unistd.h>

#include "host/content/captured.hpp"
#include "host/service/daemon.hpp"
#include "service/messages.hpp"

using namespace ipcs;
using namespace ipcs::test;

namespace {

// Apply for a caller that is no connection of ours: the code it ends with.
Code apply_for(const std::string& peer, diff::Unpacker& unpacker, const std::string& payload) {
  const service::DiffService service(unpacker, nullptr);
  const auto exchange = service.methods().front().start();
  exchange->on_caller({peer, ""});
  containerd::services::diff::v1::ApplyRequest request;
  request.mutable_diff()->set_digest(digest_of("layer").to_string());
  request.mutable_diff()->set_media_type("application/vnd.oci.image.layer.v1.tar");
  if (!payload.empty()) (*request.mutable_payloads())[payload];
  grpc::ByteBuffer message = service::serialize(request);
  try {
    exchange->on_request(Call(), message);
  } catch (const Error& e) {
    return e.code();
  }
  return Code::kOk;
}

}  // namespace

TEST_CASE("a layer is refused when nobody can tell who calls, counted as failed, and logged") {
  TempDir dir;
  Captured captured(dir);
  Daemon daemon;
  diff::Unpacker unpacker(*daemon.world.content, {"/nowhere", "/nowhere", 0, log::Log(log::Level::kInfo)});
  CHECK(apply_for("ipv4:127.0.0.1:1", unpacker, "") == Code::kFailedPrecondition);
  CHECK(unpacker.totals().failed == 1);
  const std::string digest = "digest=" + digest_of("layer").to_string();
  CHECK(captured.with({"layer not applied", digest, "code=FAILED_PRECONDITION"}).size() == 1);
}

TEST_CASE("a layer with a payload is left to the next differ, and the log says so") {
  TempDir dir;
  Captured captured(dir);
  Daemon daemon;
  diff::Unpacker unpacker(*daemon.world.content, {"/nowhere", "/nowhere", 0, log::Log(log::Level::kInfo)});
  CHECK(apply_for("ipv4:127.0.0.1:1", unpacker, "some.processor") == Code::kUnimplemented);
  CHECK(unpacker.totals().failed == 0);
  CHECK(captured.with({"layer left to the next differ", digest_of("layer").to_string(), "some.processor"}).size() == 1);
}
