// ipcs.v1.Dag on the synchronous gRPC API: blobs as DAGs, for the operator on the control socket.
#pragma once

#include <ipcs/v1/dag.grpc.pb.h>

#include "content/content.hpp"
#include "log/log.hpp"

namespace ipcs::service {

// Translates messages; the work is the backend's. [thread-safe]
class DagService final : public v1::Dag::Service {
 public:
  // `content` outlives the service.
  DagService(content::Content& content, log::Log log) : content_(content), log_(std::move(log)) {}

  grpc::Status Features(grpc::ServerContext*, const v1::FeaturesRequest*, v1::FeaturesResponse*) override;
  grpc::Status Locate(grpc::ServerContext*, const v1::LocateRequest*, v1::LocateResponse*) override;
  grpc::Status ListBlocks(grpc::ServerContext*, const v1::ListBlocksRequest*,
                          grpc::ServerWriter<v1::ListBlocksResponse>*) override;
  grpc::Status AdoptBlob(grpc::ServerContext*, const v1::AdoptBlobRequest*,
                         grpc::ServerWriter<v1::AdoptResponse>*) override;
  grpc::Status AdoptCid(grpc::ServerContext*, const v1::AdoptCidRequest*,
                        grpc::ServerWriter<v1::AdoptResponse>*) override;
  grpc::Status ExportCar(grpc::ServerContext*, const v1::ExportCarRequest*,
                         grpc::ServerWriter<v1::ExportCarResponse>*) override;
  grpc::Status ImportCar(grpc::ServerContext*,
                         grpc::ServerReaderWriter<v1::ImportCarResponse, v1::ImportCarRequest>*) override;
  grpc::Status Prefetch(grpc::ServerContext*, const v1::PrefetchRequest*,
                        grpc::ServerWriter<v1::PrefetchResponse>*) override;

 private:
  content::Content& content_;
  const log::Log log_;
};

}  // namespace ipcs::service
