// Images and leases of containerd over gRPC.
#include "containerd/client.hpp"

#include <grpcpp/create_channel.h>

#include <ctime>

#include "containerd/request.hpp"
#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::ctrd {
namespace {

constexpr int kMaxMessage = 16 << 20;  // as containerd's

std::string without_scheme(std::string address) {
  constexpr std::string_view kScheme = "unix://";
  return address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
}

std::shared_ptr<grpc::Channel> channel_to(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessage);
  arguments.SetMaxSendMessageSize(kMaxMessage);
  // A containerd that comes back is noticed soon.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Clients of several sockets in one process don't share connections.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

ImageRecord record_of(const images_api::Image& image) {
  const auto& target = image.target();
  if (target.size() < 0) throw Error(Code::kInternal, "image " + oci::one_line(image.name()) + ": a size below 0");
  oci::Descriptor descriptor(target.media_type(), oci::Digest::parse(target.digest()),
                             static_cast<uint64_t>(target.size()));
  for (const auto& [key, value] : target.annotations()) descriptor = descriptor.with_annotation(key, value);
  return {image.name(), std::move(descriptor), Labels(image.labels().begin(), image.labels().end())};
}

std::string expiry(std::chrono::seconds life) {
  const std::time_t at = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + life);
  std::tm utc{};
  ::gmtime_r(&at, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace

Client::Request::Request(const Client& client, const oci::Call& call, const std::string& lease)
    : stopped_(call.stop, [this] { context_.TryCancel(); }) {
  // gRPC may let a call through whose time is over.
  try {
    call.check();
  } catch (const Error& error) {
    throw Error(error.code(), "containerd " + client.address_ + ": " + error.what());
  }
  context_.AddMetadata("containerd-namespace", client.name_space_);
  if (!lease.empty()) context_.AddMetadata("containerd-lease", lease);
  if (call.deadline == oci::Call::Clock::time_point::max()) return;
  const auto left = call.deadline - oci::Call::Clock::now();
  context_.set_deadline(std::chrono::system_clock::now() +
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
}

Client::Client(std::string address, std::string name_space, std::string who)
    : address_(without_scheme(std::move(address))), name_space_(std::move(name_space)), who_(std::move(who)) {
  if (address_.empty()) throw Error(Code::kInvalidArgument, who_ + ": no socket is named");
  if (name_space_.empty()) throw Error(Code::kInvalidArgument, "containerd: no namespace is named");
  if (oci::one_line(name_space_) != name_space_)
    throw Error(Code::kInvalidArgument, "containerd: \"" + oci::one_line(name_space_, 80) + "\" is not a namespace");
  stubs_ = std::make_unique<Stubs>(channel_to(address_));
}

Client::~Client() = default;

void Client::check(const grpc::Status& status, const std::string& what, const oci::Call& call) const {
  if (status.ok()) return;
  const std::string begin = name() + ": " + what + ": ";
  if (call.stop.stop_requested()) throw Error(Code::kCancelled, begin + "cancelled");
  const auto code = static_cast<Code>(status.error_code());
  throw Error(code,
              begin + (status.error_message().empty() ? code_name(code) : oci::one_line(status.error_message(), 300)));
}

std::optional<ImageRecord> Client::image(const std::string& name, const oci::Call& call) {
  Request request(*this, call);
  images_api::GetImageRequest get;
  get.set_name(name);
  images_api::GetImageResponse response;
  const grpc::Status status = stubs_->images.Get(request.context(), get, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return std::nullopt;
  check(status, "image " + oci::one_line(name), call);
  return record_of(response.image());
}

std::vector<ImageRecord> Client::images(const std::vector<std::string>& filters, const oci::Call& call) {
  Request request(*this, call);
  images_api::ListImagesRequest list;
  for (const std::string& filter : filters) list.add_filters(filter);
  images_api::ListImagesResponse response;
  check(stubs_->images.List(request.context(), list, &response), "images", call);
  std::vector<ImageRecord> records;
  for (const images_api::Image& image : response.images()) records.push_back(record_of(image));
  return records;
}

void Client::set_image(const std::string& name, const oci::Descriptor& target, const Labels& labels,
                       const oci::Call& call) {
  images_api::Image image;
  image.set_name(name);
  image.mutable_target()->set_media_type(target.media_type());
  image.mutable_target()->set_digest(target.digest().to_string());
  image.mutable_target()->set_size(static_cast<int64_t>(target.size()));
  for (const auto& [key, value] : target.annotations()) (*image.mutable_target()->mutable_annotations())[key] = value;
  for (const auto& [key, value] : labels) (*image.mutable_labels())[key] = value;
  const std::string what = "image " + oci::one_line(name);
  // Between the two calls another client may make or remove the name.
  for (int attempt = 0;; ++attempt) {
    images_api::CreateImageRequest create;
    *create.mutable_image() = image;
    images_api::CreateImageResponse created;
    Request first(*this, call);
    grpc::Status status = stubs_->images.Create(first.context(), create, &created);
    if (status.error_code() != grpc::StatusCode::ALREADY_EXISTS) return check(status, what, call);

    images_api::UpdateImageRequest update;
    *update.mutable_image() = image;
    update.mutable_update_mask()->add_paths("target");
    for (const auto& [key, value] : labels) update.mutable_update_mask()->add_paths("labels." + key);
    images_api::UpdateImageResponse updated;
    Request second(*this, call);
    status = stubs_->images.Update(second.context(), update, &updated);
    if (status.error_code() != grpc::StatusCode::NOT_FOUND || attempt == 5) return check(status, what, call);
  }
}

bool Client::remove_image(const std::string& name, bool sync, const oci::Call& call) {
  Request request(*this, call);
  images_api::DeleteImageRequest remove;
  remove.set_name(name);
  remove.set_sync(sync);
  google::protobuf::Empty response;
  const grpc::Status status = stubs_->images.Delete(request.context(), remove, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return false;
  check(status, "image " + oci::one_line(name), call);
  return true;
}

std::string Client::create_lease(std::chrono::seconds life, const oci::Call& call) {
  Request request(*this, call);
  leases_api::CreateRequest create;
  (*create.mutable_labels())["containerd.io/gc.expire"] = expiry(life);
  // Neither version of containerd's service makes up an id by itself.
  create.set_id("ipcs-" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count()) + "-" +
                oci::Digest::of(std::to_string(reinterpret_cast<uintptr_t>(&request)) + std::to_string(::clock()))
                    .to_string()
                    .substr(7, 8));
  leases_api::CreateResponse response;
  check(stubs_->leases.Create(request.context(), create, &response), "lease", call);
  return response.lease().id();
}

void Client::delete_lease(const std::string& id, bool sync, const oci::Call& call) {
  Request request(*this, call);
  leases_api::DeleteRequest remove;
  remove.set_id(id);
  remove.set_sync(sync);
  google::protobuf::Empty response;
  const grpc::Status status = stubs_->leases.Delete(request.context(), remove, &response);
  if (status.error_code() != grpc::StatusCode::NOT_FOUND) check(status, "lease " + id, call);
}

Lease::~Lease() {
  try {
    client_.delete_lease(id_, false, oci::Call::within(std::chrono::seconds(5)));
  } catch (const std::exception&) {
    // It expires.
  }
}

}  // namespace ipcs::ctrd
