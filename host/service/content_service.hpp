// containerd.services.content.v1.Content on the synchronous gRPC API.
#pragma once

#include <services/content/v1/content.grpc.pb.h>

#include "content/content.hpp"
#include "log/log.hpp"

namespace ipcs::service {

namespace api = containerd::services::content::v1;

// Serves one client, that is, one listening socket. Translates messages; what they mean is in host/content.
// [thread-safe]
class ContentService final : public api::Content::Service {
 public:
  // `content` outlives the service.
  ContentService(content::Content& content, content::Client client, log::Log log)
      : content_(content), client_(std::move(client)), log_(std::move(log)) {}

  grpc::Status Info(grpc::ServerContext*, const api::InfoRequest*, api::InfoResponse*) override;
  grpc::Status Update(grpc::ServerContext*, const api::UpdateRequest*, api::UpdateResponse*) override;
  grpc::Status List(grpc::ServerContext*, const api::ListContentRequest*,
                    grpc::ServerWriter<api::ListContentResponse>*) override;
  grpc::Status Delete(grpc::ServerContext*, const api::DeleteContentRequest*, google::protobuf::Empty*) override;
  grpc::Status Read(grpc::ServerContext*, const api::ReadContentRequest*,
                    grpc::ServerWriter<api::ReadContentResponse>*) override;
  grpc::Status Status(grpc::ServerContext*, const api::StatusRequest*, api::StatusResponse*) override;
  grpc::Status ListStatuses(grpc::ServerContext*, const api::ListStatusesRequest*, api::ListStatusesResponse*) override;
  grpc::Status Write(grpc::ServerContext*,
                     grpc::ServerReaderWriter<api::WriteContentResponse, api::WriteContentRequest>*) override;
  grpc::Status Abort(grpc::ServerContext*, const api::AbortRequest*, google::protobuf::Empty*) override;

 private:
  content::Content& content_;
  const content::Client client_;
  const log::Log log_;
};

}  // namespace ipcs::service
