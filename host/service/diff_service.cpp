// Translation between containerd's messages and host/diff.
#include "service/diff_service.hpp"

#include <fmt/format.h>
#include <services/diff/v1/diff.pb.h>

#include "diff/peer.hpp"
#include "service/messages.hpp"

namespace ipcs::service {
namespace {

namespace api = containerd::services::diff::v1;

diff::Request to_request(const api::ApplyRequest& from) {
  diff::Request request{from.diff().digest(), from.diff().media_type(), {}, from.sync_fs()};
  for (const auto& mount : from.mounts())
    request.mounts.push_back(
        {mount.type(), mount.source(), mount.target(), {mount.options().begin(), mount.options().end()}});
  return request;
}

// Payloads are for programs that containerd's configuration names, stream processors, by their names. CRI sends those of
// the decoders for encrypted layers along with every layer that it unpacks itself; a layer that is not encrypted, and others
// are refused for their type, needs none.
void refuse_payloads(const api::ApplyRequest& request) {
  for (const auto& [processor, payload] : request.payloads()) {
    if (processor.starts_with("io.containerd.ocicrypt.decoder.")) continue;
    throw Error(Code::kUnimplemented, fmt::format("payload \"{}\": this differ has no stream processors",
                                                  content::printable(processor)));
  }
}

class Apply final : public Exchange {
 public:
  explicit Apply(diff::Unpacker& unpacker) : unpacker_(unpacker) {}
  void on_caller(const Caller& caller) override { process_ = diff::process_of(caller.peer); }
  // For as long as a layer takes: never where Info and COMMIT run.
  Lane lane(grpc::ByteBuffer&) override { return Lane::kRemote; }
  Step on_request(const Call& call, grpc::ByteBuffer& message) override {
    api::ApplyRequest request;
    parse(message, &request);
    try {
      refuse_payloads(request);
      check_caller();
    } catch (const Error& e) {
      unpacker_.note_refused(request.diff().digest(), e);
      throw;
    }
    const diff::Applied applied = unpacker_.apply(call, to_request(request));
    api::ApplyResponse response;
    auto* out = response.mutable_applied();
    out->set_media_type("application/vnd.oci.image.layer.v1.tar");
    out->set_digest(applied.digest);
    out->set_size(static_cast<int64_t>(applied.size));
    return {serialize(response), Next::kFinish};
  }

 private:
  // Paths mean the same to whoever calls.
  void check_caller() const {
    if (!process_)
      throw Error(Code::kFailedPrecondition,
                  "can't tell which process calls, so its snapshots' paths can't be trusted; the connection may be gone");
    diff::check_namespaces(*process_);
  }

  diff::Unpacker& unpacker_;
  std::optional<pid_t> process_;
};

class Compare final : public Exchange {
 public:
  Lane lane(grpc::ByteBuffer&) override { return Lane::kInline; }
  Step on_request(const Call&, grpc::ByteBuffer&) override {
    throw Error(Code::kUnimplemented, "ipcsd applies layers and makes none: name \"walking\" as the next differ");
  }
};

}  // namespace

DiffService::DiffService(diff::Unpacker& unpacker, metrics::Metrics* metrics) {
  const auto add = [&](const char* path, auto start) {
    methods_.push_back({path, start, metrics == nullptr ? nullptr : &metrics->rpc(path)});
  };
  add("/containerd.services.diff.v1.Diff/Apply",
      [&unpacker]() -> std::unique_ptr<Exchange> { return std::make_unique<Apply>(unpacker); });
  methods_.back().tells_caller = true;
  add("/containerd.services.diff.v1.Diff/Diff",
      []() -> std::unique_ptr<Exchange> { return std::make_unique<Compare>(); });
}

}  // namespace ipcs::service
