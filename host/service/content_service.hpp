// containerd.services.content.v1.Content on the synchronous gRPC API.
#pragma once

#include <services/content/v1/content.grpc.pb.h>

#include "content/content.hpp"
#include "log/log.hpp"
#include "metrics/metrics.hpp"

namespace ipcs::service {

namespace api = containerd::services::content::v1;

// Serves one client, that is, one listening socket. Translates messages; what they mean is in host/content.
// [thread-safe]
class ContentService final : public api::Content::Service {
 public:
  // `content` outlives the service, and so do `metrics`, which count its calls and bytes; null: nobody counts.
  ContentService(content::Content& content, content::Client client, log::Log log, metrics::Metrics* metrics = nullptr);

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
  // Taken once: a look-up by name for every call would cost more than the count.
  struct Counters {
    metrics::Rpc *info, *update, *list, *remove, *read, *status, *list_statuses, *write, *abort;
  };
  static Counters counters(metrics::Metrics* metrics);

  content::Content& content_;
  const content::Client client_;
  const log::Log log_;
  metrics::Metrics* const metrics_;
  const Counters counters_;
};

}  // namespace ipcs::service
