// Translation between containerd's messages and host/content.
#include "service/content_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "content/write_session.hpp"
#include "service/rpc.hpp"

namespace ipcs::service {
namespace {

using content::Digest;
using content::Labels;

constexpr uint64_t kReadMessage = 1 << 20;  // bytes of data in one answer to Read

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
  out->Clear();
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

// One more under a gauge as long as it lives, where somebody counts.
std::optional<metrics::Held> held(metrics::Metrics* metrics, metrics::Gauge& (metrics::Metrics::*gauge)() noexcept) {
  if (metrics == nullptr) return std::nullopt;
  return std::optional<metrics::Held>(std::in_place, (metrics->*gauge)());
}

}  // namespace

ContentService::Counters ContentService::counters(metrics::Metrics* metrics) {
  const auto rpc = [&](std::string_view method) {
    return metrics == nullptr ? nullptr
                              : &metrics->rpc(fmt::format("/{}/{}", api::Content::service_full_name(), method));
  };
  return {rpc("Info"), rpc("Update"), rpc("List"), rpc("Delete"), rpc("Read"), rpc("Status"), rpc("ListStatuses"), rpc("Write"), rpc("Abort")};
}

ContentService::ContentService(content::Content& content, content::Client client, log::Log log,
                               metrics::Metrics* metrics)
    : content_(content),
      client_(std::move(client)),
      log_(std::move(log)),
      metrics_(metrics),
      counters_(counters(metrics)) {}

grpc::Status ContentService::Info(grpc::ServerContext* context, const api::InfoRequest* request,
                                  api::InfoResponse* response) {
  const Rpc rpc(*context, "Info", log_, counters_.info);
  return rpc.run([&] {
    set_info(content_.info(rpc.call(), client_, Digest::parse(request->digest())), response->mutable_info());
  });
}

grpc::Status ContentService::Update(grpc::ServerContext* context, const api::UpdateRequest* request,
                                    api::UpdateResponse* response) {
  const Rpc rpc(*context, "Update", log_, counters_.update);
  return rpc.run([&] {
    const auto& paths = request->update_mask().paths();
    set_info(content_.update(rpc.call(), client_, Digest::parse(request->info().digest()),
                             to_labels(request->info().labels()), std::vector<std::string>(paths.begin(), paths.end())),
             response->mutable_info());
  });
}

grpc::Status ContentService::List(grpc::ServerContext* context, const api::ListContentRequest* request,
                                  grpc::ServerWriter<api::ListContentResponse>* stream) {
  const Rpc rpc(*context, "List", log_, counters_.list);
  return rpc.run([&] {
    content_.list(client_, to_filter(request->filters()), [&](std::span<const content::Blob> page) {
      api::ListContentResponse response;
      for (const content::Blob& blob : page) set_info(blob, response.add_info());
      if (!stream->Write(response)) throw Error(Code::kCancelled, "the client has gone");
    });
  });
}

grpc::Status ContentService::Delete(grpc::ServerContext* context, const api::DeleteContentRequest* request,
                                    google::protobuf::Empty*) {
  const Rpc rpc(*context, "Delete", log_, counters_.remove);
  return rpc.run([&] { content_.remove(rpc.call(), client_, Digest::parse(request->digest())); });
}

grpc::Status ContentService::Read(grpc::ServerContext* context, const api::ReadContentRequest* request,
                                  grpc::ServerWriter<api::ReadContentResponse>* stream) {
  const Rpc rpc(*context, "Read", log_, counters_.read);
  return rpc.run([&] {
    const auto open = held(metrics_, &metrics::Metrics::open_reads);
    const auto blob = content_.open(rpc.call(), Digest::parse(request->digest()));
    const Range range = to_range(*request, blob->size);
    api::ReadContentResponse response;
    for (uint64_t at = range.begin; at < range.end;) {
      std::string& data = *response.mutable_data();
      data.resize(std::min(kReadMessage, range.end - at));
      const size_t count =
          blob->reader.read_at(rpc.call(), at, std::span(reinterpret_cast<uint8_t*>(data.data()), data.size()));
      if (count < data.size())
        throw Error(Code::kDataLoss, fmt::format("content {}: the bytes end at {} of {}", blob->digest.to_string(),
                                                 at + count, blob->size));
      response.set_offset(static_cast<int64_t>(at - range.begin));
      if (!stream->Write(response)) throw Error(Code::kCancelled, "the client has gone");
      at += count;
      if (metrics_ != nullptr) metrics_->bytes_read().add(static_cast<double>(count));
    }
  });
}

grpc::Status ContentService::Status(grpc::ServerContext* context, const api::StatusRequest* request,
                                    api::StatusResponse* response) {
  const Rpc rpc(*context, "Status", log_, counters_.status);
  return rpc.run([&] { set_status(content_.status(rpc.call(), client_, request->ref()), response->mutable_status()); });
}

grpc::Status ContentService::ListStatuses(grpc::ServerContext* context, const api::ListStatusesRequest* request,
                                          api::ListStatusesResponse* response) {
  const Rpc rpc(*context, "ListStatuses", log_, counters_.list_statuses);
  return rpc.run([&] {
    for (const auto& status : content_.list_statuses(rpc.call(), client_, to_filter(request->filters())))
      set_status(status, response->add_statuses());
  });
}

grpc::Status ContentService::Write(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<api::WriteContentResponse, api::WriteContentRequest>* stream) {
  const Rpc rpc(*context, "Write", log_, counters_.write);
  return rpc.run([&] {
    const auto open = held(metrics_, &metrics::Metrics::open_writes);
    content::WriteSession session(content_, client_);
    api::WriteContentRequest request;
    api::WriteContentResponse response;
    while (stream->Read(&request)) {
      const Labels labels = to_labels(request.labels());
      const content::WriteReply reply = session.on_message(
          rpc.call(), {.action = to_action(request.action()),
                       .ref = request.ref(),
                       .total = request.total(),
                       .expected = request.expected(),
                       .offset = request.offset(),
                       .data = std::span(reinterpret_cast<const uint8_t*>(request.data().data()), request.data().size()),
                       .labels = labels.empty() ? nullptr : &labels});
      set_reply(reply, &response);
      if (metrics_ != nullptr) metrics_->bytes_written().add(static_cast<double>(request.data().size()));
      if (!stream->Write(response) || reply.done) return;
    }
  });
}

grpc::Status ContentService::Abort(grpc::ServerContext* context, const api::AbortRequest* request,
                                   google::protobuf::Empty*) {
  const Rpc rpc(*context, "Abort", log_, counters_.abort);
  return rpc.run([&] { content_.abort(rpc.call(), client_, request->ref()); });
}

}  // namespace ipcs::service
