// Translation between containerd's messages and host/content.
#include "service/content_service.hpp"

#include <fmt/format.h>
#include <google/protobuf/empty.pb.h>
#include <services/content/v1/content.pb.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "content/write_session.hpp"
#include "service/messages.hpp"

namespace ipcs::service {
namespace {

namespace api = containerd::services::content::v1;

using content::Digest;
using content::Labels;

constexpr std::string_view kService = "/containerd.services.content.v1.Content/";
constexpr size_t kKeptMessage = 1 << 20;  // bytes of data of a WRITE whose memory is kept for the next

void set_time(int64_t ns, google::protobuf::Timestamp* out) {
  constexpr int64_t kSecond = 1'000'000'000;
  out->set_seconds(ns / kSecond);
  out->set_nanos(static_cast<int32_t>(ns % kSecond));
}

void set_info(const content::Blob& blob, api::Info* out) {
  out->set_digest(blob.digest.to_string());
  out->set_size(static_cast<int64_t>(blob.size));
  set_time(blob.created_ns, out->mutable_created_at());
  set_time(blob.updated_ns, out->mutable_updated_at());
  for (const auto& [key, value] : blob.labels) (*out->mutable_labels())[key] = value;
}

void set_status(const content::IngestStatus& status, api::Status* out) {
  set_time(status.started_ns, out->mutable_started_at());
  set_time(status.updated_ns, out->mutable_updated_at());
  out->set_ref(status.ref);
  out->set_offset(static_cast<int64_t>(status.offset));
  out->set_total(static_cast<int64_t>(status.total));
  out->set_expected(status.expected);
}

template <class Map>
Labels to_labels(const Map& map) {
  return Labels(map.begin(), map.end());
}

template <class Filters>
content::Filter to_filter(const Filters& filters) {
  return content::Filter::parse(std::vector<std::string>(filters.begin(), filters.end()));
}

content::WriteAction to_action(api::WriteAction action) {
  switch (action) {
    case api::STAT: return content::WriteAction::kStat;
    case api::WRITE: return content::WriteAction::kWrite;
    case api::COMMIT: return content::WriteAction::kCommit;
    default: throw Error(Code::kInvalidArgument, fmt::format("unknown write action {}", static_cast<int>(action)));
  }
}

api::WriteAction to_api(content::WriteAction action) {
  switch (action) {
    case content::WriteAction::kStat: return api::STAT;
    case content::WriteAction::kWrite: return api::WRITE;
    case content::WriteAction::kCommit: return api::COMMIT;
  }
  return api::STAT;
}

void set_reply(const content::WriteReply& reply, api::WriteContentResponse* out) {
  out->set_action(to_api(reply.action));
  out->set_offset(reply.offset);
  out->set_total(reply.total);
  out->set_digest(reply.digest);
  if (reply.started_ns != 0) set_time(reply.started_ns, out->mutable_started_at());
  if (reply.updated_ns != 0) set_time(reply.updated_ns, out->mutable_updated_at());
}

// Which bytes a Read asks for: a size of 0 or less, or one past the end, means up to the end.
struct Range {
  uint64_t begin, end;
};

Range to_range(const api::ReadContentRequest& request, uint64_t blob_size) {
  if (request.offset() < 0)
    throw Error(Code::kOutOfRange, fmt::format("read at negative offset {}", request.offset()));
  const auto begin = static_cast<uint64_t>(request.offset());
  if (begin > blob_size)
    throw Error(Code::kOutOfRange, fmt::format("read past object length {} bytes", blob_size));
  const uint64_t rest = blob_size - begin;
  const uint64_t wanted = request.size() > 0 ? static_cast<uint64_t>(request.size()) : rest;
  return {begin, begin + std::min(wanted, rest)};
}

// What the exchanges of one client share.
struct Scope {
  content::Content& content;
  const content::Client& client;
  metrics::Metrics* metrics;  // null: nobody counts
  const std::shared_ptr<ReadMemory>& read_memory;
};

// One more under a gauge as long as it lives, where somebody counts.
std::optional<metrics::Held> held(metrics::Metrics* metrics, metrics::Gauge& (metrics::Metrics::*gauge)() noexcept) {
  if (metrics == nullptr) return std::nullopt;
  return std::optional<metrics::Held>(std::in_place, (metrics->*gauge)());
}

// One request, one response.
template <class Request, class Response, Lane kLane, void (*kHandle)(const Scope&, const Call&, const Request&, Response*)>
class Unary final : public Exchange {
 public:
  explicit Unary(const Scope& scope) : scope_(scope) {}
  Lane lane(grpc::ByteBuffer&) override { return kLane; }
  Step on_request(const Call& call, grpc::ByteBuffer& message) override {
    Request request;
    parse(message, &request);
    Response response;
    kHandle(scope_, call, request, &response);
    return {serialize(response), Next::kFinish};
  }

 private:
  const Scope scope_;
};

void update(const Scope& scope, const Call& call, const api::UpdateRequest& request, api::UpdateResponse* response) {
  const auto& paths = request.update_mask().paths();
  set_info(scope.content.update(call, scope.client, Digest::parse(request.info().digest()),
                                to_labels(request.info().labels()),
                                std::vector<std::string>(paths.begin(), paths.end())),
           response->mutable_info());
}

void remove(const Scope& scope, const Call& call, const api::DeleteContentRequest& request, google::protobuf::Empty*) {
  scope.content.remove(call, scope.client, Digest::parse(request.digest()));
}

void status(const Scope& scope, const Call& call, const api::StatusRequest& request, api::StatusResponse* response) {
  set_status(scope.content.status(call, scope.client, request.ref()), response->mutable_status());
}

void list_statuses(const Scope& scope, const Call& call, const api::ListStatusesRequest& request,
                   api::ListStatusesResponse* response) {
  for (const auto& status : scope.content.list_statuses(call, scope.client, to_filter(request.filters())))
    set_status(status, response->add_statuses());
}

void abort(const Scope& scope, const Call& call, const api::AbortRequest& request, google::protobuf::Empty*) {
  scope.content.abort(call, scope.client, request.ref());
}

// A blob that is not here may be searched for, not on the threads of those that are.
class Info final : public Exchange {
 public:
  explicit Info(const Scope& scope) : scope_(scope) {}
  Lane lane(grpc::ByteBuffer&) override { return Lane::kLocal; }
  Lane waiting_lane() const noexcept override { return Lane::kLookUp; }
  Step on_request(const Call& call, grpc::ByteBuffer& message) override {
    api::InfoRequest request;
    parse(message, &request);
    digest_.emplace(Digest::parse(request.digest()));
    if (const auto blob = scope_.content.find(call, scope_.client, *digest_)) return answer(*blob);
    // The operator asks what is here.
    const bool search = !scope_.client.is_operator && scope_.content.may_be_found(*digest_);
    return search ? Step{std::nullopt, Next::kWait} : answer(scope_.content.info(call, scope_.client, *digest_));
  }
  Step on_sent(const Call& call) override {
    scope_.content.look_up(call, *digest_);
    return answer(scope_.content.info(call, scope_.client, *digest_));
  }

 private:
  static Step answer(const content::Blob& blob) {
    api::InfoResponse response;
    set_info(blob, response.mutable_info());
    return {serialize(response), Next::kFinish};
  }

  const Scope scope_;
  std::optional<Digest> digest_;
};

class List final : public Exchange {
 public:
  explicit List(const Scope& scope) : scope_(scope) {}
  Lane lane(grpc::ByteBuffer&) override { return Lane::kLocal; }
  Step on_request(const Call& call, grpc::ByteBuffer& message) override {
    api::ListContentRequest request;
    parse(message, &request);
    listing_.emplace(scope_.content.list(scope_.client, to_filter(request.filters())));
    return on_sent(call);
  }
  Step on_sent(const Call& call) override {
    const std::vector<content::Blob> page = listing_->next(call);
    if (page.empty()) return {};
    api::ListContentResponse response;
    for (const content::Blob& blob : page) set_info(blob, response.add_info());
    return {serialize(response), Next::kSendMore};
  }

 private:
  const Scope scope_;
  std::optional<content::Listing> listing_;
};

class Read final : public Exchange {
 public:
  explicit Read(const Scope& scope) : scope_(scope), open_(held(scope.metrics, &metrics::Metrics::open_reads)) {}
  // What is at hand in memory is sent at once: containerd asks for 32 KiB at a time, mostly from the page cache, and a
  // change of thread costs more than such a read.
  Lane lane(grpc::ByteBuffer& message) override {
    parse(message, &request_);
    blob_ = scope_.content.find_open(Digest::parse(request_.digest()));
    cached_only_ = blob_ != nullptr;
    return cached_only_ ? Lane::kInline : waiting_lane();
  }
  // Not with Info and COMMIT even where the disk is local: an ill one would take their threads.
  Lane waiting_lane() const noexcept override { return Lane::kRemote; }
  Step on_request(const Call& call, grpc::ByteBuffer&) override {
    if (!blob_) blob_ = scope_.content.open(call, Digest::parse(request_.digest()));
    const Range range = to_range(request_, blob_->size);
    begin_ = at_ = range.begin;
    end_ = range.end;
    return next(call);
  }
  Step on_sent(const Call& call) override { return next(call); }

 private:
  Step next(const Call& call) {
    if (at_ == end_) return {};
    ReadMemory::Share share = ReadMemory::take(scope_.read_memory, end_ - at_);
    const uint64_t size = share.size();
    api::ReadContentResponse head;
    head.set_offset(static_cast<int64_t>(at_ - begin_));
    auto message = serialize_with_bytes(head, api::ReadContentResponse::kDataFieldNumber, std::move(share),
                                        [&](std::span<uint8_t> out) { return fill(call, out); });
    if (!message) {
      cached_only_ = false;
      return {std::nullopt, Next::kWait};
    }
    at_ += size;
    if (scope_.metrics != nullptr) scope_.metrics->bytes_read().add(static_cast<double>(size));
    return {std::move(message), at_ == end_ ? Next::kFinish : Next::kSendMore};
  }

  bool fill(const Call& call, std::span<uint8_t> out) const {
    if (cached_only_) return blob_->reader.read_cached(at_, out) == out.size();
    const size_t count = blob_->reader.read_at(call, at_, out);
    if (count < out.size())
      throw Error(Code::kDataLoss, fmt::format("content {}: the bytes end at {} of {}", blob_->digest.to_string(),
                                               at_ + count, blob_->size));
    return true;
  }

  const Scope scope_;
  const std::optional<metrics::Held> open_;
  api::ReadContentRequest request_;
  std::shared_ptr<const content::OpenBlob> blob_;
  uint64_t begin_ = 0, at_ = 0, end_ = 0;
  bool cached_only_ = false;  // on the thread of all events, where nothing may wait
};

class Write final : public Exchange {
 public:
  explicit Write(const Scope& scope)
      : metrics_(scope.metrics),
        open_(held(scope.metrics, &metrics::Metrics::open_writes)),
        session_(scope.content, scope.client) {}
  // A lease on the control socket is the name of the pins' owner: one of ipcsctl's runs.
  void on_caller(const Caller& caller) override { lease_ = caller.lease; }
  // WRITE may wait for a network, the others for the disk, and the beginning of a blob for nothing.
  Lane lane(grpc::ByteBuffer& message) override {
    if (!lease_.empty()) session_.pin_for(std::exchange(lease_, {}));
    parsed_ = message.Length() <= content::OpenIngest::kInMemory;
    if (!parsed_) return is_write(message) ? Lane::kRemote : Lane::kLocal;
    parse(message, &request_);
    const content::WriteAction action = to_action(request_.action());
    if (session_.stays_in_memory(action, request_.ref(), request_.expected(), request_.data().size())) return Lane::kInline;
    return action == content::WriteAction::kWrite ? Lane::kRemote : Lane::kLocal;
  }
  Step on_request(const Call& call, grpc::ByteBuffer& message) override {
    if (!parsed_) parse(message, &request_);
    message.Clear();  // its memory is needed no more
    const Labels labels = to_labels(request_.labels());
    const content::WriteReply reply = session_.on_message(
        call,
        {.action = to_action(request_.action()),
         .ref = request_.ref(),
         .total = request_.total(),
         .expected = request_.expected(),
         .offset = request_.offset(),
         .data = std::span(reinterpret_cast<const uint8_t*>(request_.data().data()), request_.data().size()),
         .labels = labels.empty() ? nullptr : &labels});
    if (metrics_ != nullptr) metrics_->bytes_written().add(static_cast<double>(request_.data().size()));
    if (request_.data().size() > kKeptMessage) request_ = api::WriteContentRequest();
    api::WriteContentResponse response;
    set_reply(reply, &response);
    return {serialize(response), reply.done ? Next::kFinish : Next::kReadRequest};
  }

 private:
  // Without parsing a large message on the thread of all events. The action is the message's first field, and every
  // encoder writes it first; one that does not gets the other lane, no more.
  static bool is_write(grpc::ByteBuffer& message) {
    static constexpr uint8_t kWriteFirst[] = {0x08, 0x01};
    std::vector<grpc::Slice> slices;
    if (!message.Dump(&slices).ok() || slices.empty() || slices[0].size() < 2) return false;
    return std::equal(std::begin(kWriteFirst), std::end(kWriteFirst), slices[0].begin());
  }

  metrics::Metrics* const metrics_;
  const std::optional<metrics::Held> open_;
  content::WriteSession session_;
  std::string lease_;  // until the first message
  api::WriteContentRequest request_;  // kept between messages for its memory
  bool parsed_ = false;               // request_ is the message
};

}  // namespace

template <class Handler>
void ContentService::add(std::string_view name) {
  const std::string path = std::string(kService).append(name);
  methods_.push_back(
      {path, [this] { return std::make_unique<Handler>(Scope{content_, client_, metrics_, read_memory_}); },
       metrics_ == nullptr ? nullptr : &metrics_->rpc(path)});
}

ContentService::ContentService(content::Content& content, content::Client client, metrics::Metrics* metrics,
                               std::shared_ptr<ReadMemory> read_memory)
    : content_(content),
      client_(std::move(client)),
      metrics_(metrics),
      read_memory_(std::move(read_memory)) {
  using google::protobuf::Empty;
  add<Info>("Info");
  add<Unary<api::UpdateRequest, api::UpdateResponse, Lane::kLocal, update>>("Update");
  add<List>("List");
  add<Unary<api::DeleteContentRequest, Empty, Lane::kLocal, remove>>("Delete");
  add<Read>("Read");
  add<Unary<api::StatusRequest, api::StatusResponse, Lane::kLocal, status>>("Status");
  add<Unary<api::ListStatusesRequest, api::ListStatusesResponse, Lane::kLocal, list_statuses>>("ListStatuses");
  add<Write>("Write");
  methods_.back().tells_caller = client_.is_operator;
  add<Unary<api::AbortRequest, Empty, Lane::kLocal, abort>>("Abort");
}

}  // namespace ipcs::service
