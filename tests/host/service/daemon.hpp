// A content service on a unix socket, in front of a backend in memory.
#pragma once

#include <grpcpp/grpcpp.h>
#include <services/content/v1/content.grpc.pb.h>

#include "host/content/world.hpp"
#include "service/content_service.hpp"
#include "service/server.hpp"

namespace ipcs::test {

struct Daemon {
  explicit Daemon(const std::string& client = "a", const log::Log& log = log::Log::none())
      : service(*world.content, client == content::kOperator ? world.op : content::Client{client}),
        socket(world.dir / "run/ipcs.sock"),
        server(service::Server::start({socket, {}, {}, 0660}, {service.methods(), {}}, lanes, log)),
        channel(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials())),
        stub(containerd::services::content::v1::Content::NewStub(channel)) {}

  World world;
  service::ContentService service;
  service::Lanes lanes;
  const std::string socket;
  std::unique_ptr<service::Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<containerd::services::content::v1::Content::Stub> stub;
};

}  // namespace ipcs::test

namespace Catch {
template <>
struct StringMaker<grpc::StatusCode> {
  static std::string convert(grpc::StatusCode code) { return ipcs::code_name(static_cast<ipcs::Code>(code)); }
};
}  // namespace Catch
