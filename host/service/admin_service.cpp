// Translation between ipcs.v1.Admin's messages and host/content.
#include "service/admin_service.hpp"

#include <fmt/format.h>

#include <chrono>

#include "content/copy.hpp"
#include "content/release.hpp"
#include "content/repair.hpp"
#include "content/usage.hpp"
#include "content/verify.hpp"
#include "service/rpc.hpp"

namespace ipcs::service {
namespace {

using content::Digest;

constexpr size_t kPinPage = 256;  // pins in one message
constexpr auto kProgressInterval = std::chrono::milliseconds(100);

std::vector<std::string> names_of(const std::vector<ListeningClient>& clients) {
  std::vector<std::string> names;
  for (const ListeningClient& client : clients) names.push_back(client.name);
  return names;
}

void set_amount(const content::Amount& amount, v1::Amount* out) {
  out->set_count(amount.count);
  out->set_bytes(amount.bytes);
}

// The configured clients in their order, then the others by name.
struct KnownClient {
  std::string name, address;
  bool former;
  content::ClientUsage usage;
};

std::vector<KnownClient> known_clients(const std::vector<ListeningClient>& configured, const content::Usage& usage) {
  std::vector<KnownClient> clients;
  std::map<std::string, content::ClientUsage> rest = usage.clients;
  for (const ListeningClient& client : configured) {
    clients.push_back({client.name, client.address, false, usage.clients.at(client.name)});
    rest.erase(client.name);
  }
  for (const auto& [name, amounts] : rest) clients.push_back({name, {}, true, amounts});
  return clients;
}

void set_client(const KnownClient& client, v1::Client* out) {
  out->set_name(client.name);
  out->set_address(client.address);
  out->set_claims(client.usage.claims.count);
  out->set_bytes(client.usage.claims.bytes);
  set_amount(client.usage.ingests, out->mutable_ingests());
  out->set_former(client.former);
}

void set_backend(const Call& call, const Store& store, v1::Backend* out) {
  const StoreInfo info = store.info(call);
  out->set_name(store.plugin().name);
  out->set_version(store.plugin().version);
  out->set_store_id(info.id);
  out->set_location(info.location);
  out->set_read_only(info.read_only);
  out->set_full(info.full);
  out->set_used_bytes(info.used_bytes);
  out->set_free_bytes(info.free_bytes);
  out->set_quota_bytes(info.quota_bytes);
}

void set_recovery(const content::RecoveryReport& report, v1::Recovery* out) {
  out->set_blobs(report.blobs);
  out->set_bytes(report.bytes);
  out->set_adopted(report.adopted);
  out->set_missing(report.missing);
  out->set_damaged(report.damaged);
  out->set_dropped_ingests(report.dropped_ingests);
}

void set_unpacking(const std::string& address, const diff::UnpackTotals& totals, v1::Unpacking* out) {
  out->set_address(address);
  out->set_applied(totals.applied);
  out->set_failed(totals.failed);
  out->set_under_way(static_cast<uint64_t>(totals.under_way));
  out->set_stored_bytes(totals.stored_bytes);
  out->set_uncompressed_bytes(totals.uncompressed_bytes);
  out->set_read_ns(totals.read_ns);
  out->set_decompress_ns(totals.decompress_ns);
  out->set_hash_ns(totals.hash_ns);
  out->set_write_ns(totals.write_ns);
}

v1::Finding::Kind to_api(content::FindingKind kind) {
  switch (kind) {
    case content::FindingKind::kDamaged:
      return v1::Finding::DAMAGED;
    case content::FindingKind::kMissing:
      return v1::Finding::MISSING;
    case content::FindingKind::kRefused:
      return v1::Finding::REFUSED;
    case content::FindingKind::kUnreadable:
      return v1::Finding::UNREADABLE;
  }
  return v1::Finding::UNKNOWN;
}

v1::Finding::Kind to_api(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::kLeaked:
      return v1::Finding::LEAKED;
    case Difference::Kind::kMissing:
      return v1::Finding::MISSING;
    case Difference::Kind::kDamaged:
      return v1::Finding::DAMAGED;
  }
  return v1::Finding::UNKNOWN;
}

void set_previous(const Call& call, const content::Stores& stores, v1::Previous* out) {
  set_backend(call, *stores.previous(), out->mutable_backend());
  set_amount(stores.lacking(), out->mutable_to_copy());
}

// Sends what work on all blobs tells, at most some times a second, and ends it when the client has gone. Response:
// VerifyResponse or one with the same fields.
template <class Response>
class WorkStream {
 public:
  WorkStream(grpc::ServerContext& context, grpc::ServerWriter<Response>& stream) : context_(context), stream_(stream) {}

  content::Observer observer() {
    return {[this](const content::Progress& state) { progress(state); },
            [this](const content::Finding& finding) { found(finding); }};
  }

  // The same of a repair.
  Repairer::Observer repair_observer() {
    return {[this](const Difference& difference) { found(difference); },
            [this](const RepairProgress& state) { progress(to_progress(state)); }};
  }
  static content::Progress to_progress(const RepairProgress& state) {
    return {state.done_bytes, state.total_bytes, state.done_blobs, state.total_blobs, state.current};
  }

  // The last message, for fields that only this one has.
  Response& last() noexcept { return message_; }
  void finish(const content::Progress& progress) {
    set(progress);
    message_.set_finished(true);
    send();
  }

 private:
  void progress(const content::Progress& progress) {
    if (context_.IsCancelled()) throw Error(Code::kCancelled, "the client has gone");
    set(progress);
    const auto now = Call::Clock::now();
    if (message_.findings_size() == 0 && now - sent_ < kProgressInterval) return;
    send();
    sent_ = now;
  }

  void found(const content::Finding& finding) {
    v1::Finding* out = message_.add_findings();
    out->set_kind(to_api(finding.kind));
    out->set_digest(finding.digest.to_string());
    out->set_detail(finding.detail);
  }

  void found(const Difference& difference) {
    v1::Finding* out = message_.add_findings();
    out->set_kind(to_api(difference.kind));
    out->set_digest(difference.name);
    out->set_detail(difference.detail);
    out->set_mended(difference.mended);
  }

  void set(const content::Progress& progress) {
    message_.set_done_bytes(progress.done_bytes);
    message_.set_total_bytes(progress.total_bytes);
    message_.set_done_blobs(progress.done_blobs);
    message_.set_total_blobs(progress.total_blobs);
    message_.set_current(progress.current);
  }

  void send() {
    if (!stream_.Write(message_)) throw Error(Code::kCancelled, "the client has gone");
    message_.clear_findings();
  }

  grpc::ServerContext& context_;
  grpc::ServerWriter<Response>& stream_;
  Response message_;
  Call::Clock::time_point sent_;
};

}  // namespace

AdminService::AdminService(content::Content& content, Facts facts, log::Log log)
    : content_(content),
      facts_(std::move(facts)),
      log_(std::move(log)),
      started_ns_(content.now()),
      started_(Call::Clock::now()) {}

grpc::Status AdminService::Version(grpc::ServerContext*, const v1::VersionRequest*, v1::VersionResponse* response) {
  response->set_version(IPCS_VERSION);
  return grpc::Status::OK;
}

grpc::Status AdminService::Status(grpc::ServerContext* context, const v1::StatusRequest*,
                                  v1::StatusResponse* response) {
  const Rpc rpc(*context, "Status", log_);
  return rpc.run([&] {
    response->set_version(IPCS_VERSION);
    response->set_started_ns(started_ns_);
    response->set_uptime_ns(
        std::chrono::duration_cast<std::chrono::nanoseconds>(Call::Clock::now() - started_).count());
    set_backend(rpc.call(), content_.backend(), response->mutable_backend());
    const content::Usage usage = content::usage(rpc.call(), content_, names_of(facts_.clients));
    response->set_blobs(usage.total.count);
    response->set_bytes(usage.total.bytes);
    response->set_pins(usage.pinned.count);
    response->set_ingests(usage.ingests.count);
    const content::Losses losses = content::losses(rpc.call(), content_);
    response->set_missing(losses.missing);
    response->set_damaged(losses.damaged);
    for (const KnownClient& client : known_clients(facts_.clients, usage)) set_client(client, response->add_clients());
    set_recovery(facts_.recovery, response->mutable_recovery());
    if (content_.stores().previous() != nullptr)
      set_previous(rpc.call(), content_.stores(), response->mutable_previous());
    if (facts_.unpacked != nullptr)
      set_unpacking(facts_.diff_address, *facts_.unpacked, response->mutable_unpacking());
  });
}

grpc::Status AdminService::Pin(grpc::ServerContext* context, const v1::PinRequest* request, v1::PinResponse*) {
  const Rpc rpc(*context, "Pin", log_);
  return rpc.run([&] { content_.pin(rpc.call(), Digest::parse(request->digest()), request->note(), request->owner()); });
}

grpc::Status AdminService::Unpin(grpc::ServerContext* context, const v1::UnpinRequest* request, v1::UnpinResponse*) {
  const Rpc rpc(*context, "Unpin", log_);
  return rpc.run([&] {
    const Digest digest = Digest::parse(request->digest());
    request->all() ? content_.unpin_all(rpc.call(), digest) : content_.unpin(rpc.call(), digest, request->owner());
  });
}

grpc::Status AdminService::ListPins(grpc::ServerContext* context, const v1::ListPinsRequest*,
                                    grpc::ServerWriter<v1::ListPinsResponse>* stream) {
  const Rpc rpc(*context, "ListPins", log_);
  return rpc.run([&] {
    std::string after;
    for (;;) {
      const std::vector<catalog::Pin> pins = content_.catalog().pins(after, kPinPage);
      if (pins.empty()) return;
      after = pins.back().digest.to_string();
      v1::ListPinsResponse response;
      for (const catalog::Pin& pin : pins) {
        v1::PinnedBlob* out = response.add_pins();
        out->set_digest(pin.digest.to_string());
        out->set_size(pin.size);
        out->set_created_ns(pin.created_ns);
        out->set_note(pin.note);
        out->set_owner(pin.owner);
      }
      if (!stream->Write(response)) throw Error(Code::kCancelled, "the client has gone");
    }
  });
}

grpc::Status AdminService::Holders(grpc::ServerContext* context, const v1::HoldersRequest* request,
                                   v1::HoldersResponse* response) {
  const Rpc rpc(*context, "Holders", log_);
  return rpc.run([&] {
    const Digest digest = Digest::parse(request->digest());
    for (const std::string& owner : content_.catalog().pin_owners(digest)) response->add_pin_owners(owner);
    response->set_pinned(response->pin_owners_size() > 0);
    for (const std::string& client : content_.catalog().claimants(digest)) response->add_clients(client);
  });
}

grpc::Status AdminService::Verify(grpc::ServerContext* context, const v1::VerifyRequest* request,
                                  grpc::ServerWriter<v1::VerifyResponse>* stream) {
  const Rpc rpc(*context, "Verify", log_);
  return rpc.run([&] {
    std::vector<Digest> digests;
    for (const std::string& digest : request->digests()) digests.push_back(Digest::parse(digest));
    WorkStream out(*context, *stream);
    out.finish(content::verify(rpc.call(), content_, digests, out.observer()));
  });
}

grpc::Status AdminService::BackendStatus(grpc::ServerContext* context, const v1::BackendStatusRequest*,
                                         v1::BackendStatusResponse* response) {
  const Rpc rpc(*context, "BackendStatus", log_);
  return rpc.run([&] {
    set_backend(rpc.call(), content_.backend(), response->mutable_backend());
    if (content_.stores().previous() != nullptr)
      set_previous(rpc.call(), content_.stores(), response->mutable_previous());
  });
}

grpc::Status AdminService::CopyBackend(grpc::ServerContext* context, const v1::CopyBackendRequest*,
                                       grpc::ServerWriter<v1::CopyBackendResponse>* stream) {
  const Rpc rpc(*context, "CopyBackend", log_);
  return rpc.run([&] {
    WorkStream out(*context, *stream);
    const content::CopyReport report = content::copy_blobs(rpc.call(), content_, out.observer());
    set_amount(report.copied, out.last().mutable_copied());
    set_amount(content_.stores().lacking(), out.last().mutable_to_copy());
    out.last().set_complete(report.complete);
    out.finish(report.progress);
  });
}

grpc::Status AdminService::Repair(grpc::ServerContext* context, const v1::RepairRequest* request,
                                  grpc::ServerWriter<v1::RepairResponse>* stream) {
  const Rpc rpc(*context, "Repair", log_);
  return rpc.run([&] {
    WorkStream out(*context, *stream);
    const content::RepairReport report =
        content::repair(rpc.call(), content_, names_of(facts_.clients), request->dry_run(), out.repair_observer());
    set_amount({report.store.blobs, report.store.bytes}, out.last().mutable_blobs());
    out.last().set_claims(report.store.claims);
    out.last().set_pending(report.store.pending);
    out.last().set_leaked(report.leaked);
    out.last().set_missing(report.missing);
    out.last().set_damaged(report.damaged);
    out.last().set_left(report.left);
    out.finish(out.to_progress(report.progress));
  });
}

grpc::Status AdminService::Usage(grpc::ServerContext* context, const v1::UsageRequest*, v1::UsageResponse* response) {
  const Rpc rpc(*context, "Usage", log_);
  return rpc.run([&] {
    const content::Usage usage = content::usage(rpc.call(), content_, names_of(facts_.clients));
    set_amount(usage.total, response->mutable_total());
    set_amount(usage.pinned, response->mutable_pinned());
    set_amount(usage.shared, response->mutable_shared());
    set_amount(usage.ingests, response->mutable_ingests());
    for (const KnownClient& client : known_clients(facts_.clients, usage)) {
      v1::ClientAmount* out = response->add_clients();
      out->set_name(client.name);
      set_amount(client.usage.claims, out->mutable_amount());
      out->set_former(client.former);
    }
    const StoreInfo store = content_.backend().info(rpc.call());
    response->set_free_bytes(store.free_bytes);
    response->set_quota_bytes(store.quota_bytes);
  });
}

grpc::Status AdminService::ListClients(grpc::ServerContext* context, const v1::ListClientsRequest*,
                                       v1::ListClientsResponse* response) {
  const Rpc rpc(*context, "ListClients", log_);
  return rpc.run([&] {
    const content::Usage usage = content::usage(rpc.call(), content_, names_of(facts_.clients));
    for (const KnownClient& client : known_clients(facts_.clients, usage)) set_client(client, response->add_clients());
  });
}

grpc::Status AdminService::RemoveClient(grpc::ServerContext* context, const v1::RemoveClientRequest* request,
                                        v1::RemoveClientResponse* response) {
  const Rpc rpc(*context, "RemoveClient", log_);
  return rpc.run([&] {
    for (const ListeningClient& client : facts_.clients) {
      if (client.name != request->name()) continue;
      throw Error(
          Code::kFailedPrecondition,
          fmt::format("client \"{}\": is configured, on {}, and its containerd relies on what it holds; take its "
                      "socket out of the configuration and restart ipcsd first",
                      client.name, client.address));
    }
    const content::Released released = content::release_client(rpc.call(), content_, request->name());
    log_.info("what a former client held was dropped", {{"client", content::printable(request->name())},
                                                        {"claims", std::to_string(released.claims.count)},
                                                        {"freed_blobs", std::to_string(released.freed.count)},
                                                        {"freed_bytes", std::to_string(released.freed.bytes)},
                                                        {"ingests", std::to_string(released.ingests.count)}});
    set_amount(released.claims, response->mutable_claims());
    set_amount(released.freed, response->mutable_freed());
    set_amount(released.ingests, response->mutable_ingests());
  });
}

grpc::Status AdminService::ListPlugins(grpc::ServerContext* context, const v1::ListPluginsRequest*,
                                       v1::ListPluginsResponse* response) {
  const Rpc rpc(*context, "ListPlugins", log_);
  return rpc.run([&] {
    for (const PluginDescription& plugin : facts_.plugins) {
      v1::Plugin* out = response->add_plugins();
      out->set_name(plugin.name);
      out->set_version(plugin.version);
      out->set_description(plugin.description);
      out->set_build(plugin.build);
      out->set_abi_major(plugin.abi_major);
      out->set_abi_minor(plugin.abi_minor);
      out->set_path(plugin.path);
      out->set_state(plugin.state);
      out->set_reason(plugin.reason);
      out->set_selected(!plugin.path.empty() && plugin.path == facts_.selected_plugin);
      out->set_previous(!plugin.path.empty() && plugin.path == facts_.previous_plugin);
    }
  });
}

}  // namespace ipcs::service
