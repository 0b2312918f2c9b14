// The circumstances of one call to containerd.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <services/content/v1/content.grpc.pb.h>
#include <services/images/v1/images.grpc.pb.h>
#include <services/leases/v1/leases.grpc.pb.h>

#include <functional>
#include <stop_token>

#include "containerd/client.hpp"

namespace ipcs::ctrd {

namespace content_api = ::containerd::services::content::v1;
namespace images_api = ::containerd::services::images::v1;
namespace leases_api = ::containerd::services::leases::v1;

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel) : content(channel), images(channel), leases(channel) {}

  content_api::Content::Stub content;
  images_api::Images::Stub images;
  leases_api::Leases::Stub leases;
};

// Carries namespace, lease and deadline; is cancelled with the call.
class Client::Request {
 public:
  Request(const Client& client, const oci::Call& call, const std::string& lease = "");

  grpc::ClientContext* context() noexcept { return &context_; }

 private:
  grpc::ClientContext context_;
  std::stop_callback<std::function<void()>> stopped_;
};

}  // namespace ipcs::ctrd
