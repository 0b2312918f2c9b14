// ipcs.v1.Admin on the synchronous gRPC API: the operator's service on the control socket.
#pragma once

#include <ipcs/v1/admin.grpc.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "content/content.hpp"
#include "content/recovery.hpp"
#include "diff/unpacker.hpp"
#include "log/log.hpp"

namespace ipcs::service {

// A plugin file that was found at start, for lists.
struct PluginDescription {
  std::string name, version, description, build;  // empty where the file was refused before they could be read
  uint32_t abi_major = 0, abi_minor = 0;
  std::string path;
  std::string state;   // "ok", "shadowed" or "refused"
  std::string reason;  // one line, empty when ok
};

// A socket for a containerd.
struct ListeningClient {
  std::string name;
  std::string address;  // path
};

// Answers the operator. Translates messages and adds up numbers; what changes anything is in host/content.
// [thread-safe]
class AdminService final : public v1::Admin::Service {
 public:
  // What the daemon knows that the store does not.
  struct Facts {
    content::RecoveryReport recovery;
    std::vector<PluginDescription> plugins;
    std::string selected_plugin;  // path of the file that the backend came from
    std::string previous_plugin;  // likewise of the one before it, empty where there is none
    std::vector<ListeningClient> clients;
    std::string diff_address;                      // path of the socket for layers to unpack
    const diff::UnpackTotals* unpacked = nullptr;  // outlives the service; nullptr: it unpacks nothing
  };

  // The daemon counts as started now. `content` outlives the service.
  AdminService(content::Content& content, Facts facts, log::Log log);

  grpc::Status Version(grpc::ServerContext*, const v1::VersionRequest*, v1::VersionResponse*) override;
  grpc::Status Status(grpc::ServerContext*, const v1::StatusRequest*, v1::StatusResponse*) override;
  grpc::Status Pin(grpc::ServerContext*, const v1::PinRequest*, v1::PinResponse*) override;
  grpc::Status Unpin(grpc::ServerContext*, const v1::UnpinRequest*, v1::UnpinResponse*) override;
  grpc::Status ListPins(grpc::ServerContext*, const v1::ListPinsRequest*,
                        grpc::ServerWriter<v1::ListPinsResponse>*) override;
  grpc::Status Holders(grpc::ServerContext*, const v1::HoldersRequest*, v1::HoldersResponse*) override;
  grpc::Status Verify(grpc::ServerContext*, const v1::VerifyRequest*, grpc::ServerWriter<v1::VerifyResponse>*) override;
  grpc::Status BackendStatus(grpc::ServerContext*, const v1::BackendStatusRequest*, v1::BackendStatusResponse*) override;
  grpc::Status CopyBackend(grpc::ServerContext*, const v1::CopyBackendRequest*,
                           grpc::ServerWriter<v1::CopyBackendResponse>*) override;
  grpc::Status Repair(grpc::ServerContext*, const v1::RepairRequest*, grpc::ServerWriter<v1::RepairResponse>*) override;
  grpc::Status Usage(grpc::ServerContext*, const v1::UsageRequest*, v1::UsageResponse*) override;
  grpc::Status ListClients(grpc::ServerContext*, const v1::ListClientsRequest*, v1::ListClientsResponse*) override;
  grpc::Status RemoveClient(grpc::ServerContext*, const v1::RemoveClientRequest*, v1::RemoveClientResponse*) override;
  grpc::Status ListPlugins(grpc::ServerContext*, const v1::ListPluginsRequest*, v1::ListPluginsResponse*) override;

 private:
  content::Content& content_;
  const Facts facts_;
  const log::Log log_;
  const int64_t started_ns_;  // since 1970 UTC
  const Call::Clock::time_point started_;
};

}  // namespace ipcs::service
