// Messages in and out of a backend's optional features.
#include "service/dag_service.hpp"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "content/dag.hpp"
#include "service/rpc.hpp"

namespace ipcs::service {
namespace {

using oci::Digest;

constexpr size_t kCarPiece = 1 << 20;   // bytes of a CAR in a message
constexpr size_t kBlockPage = 512;      // blocks in a message
constexpr auto kProgressInterval = std::chrono::milliseconds(200);

template <class Stream, class Message>
void send(Stream& stream, const Message& message) {
  if (!stream.Write(message)) throw Error(Code::kCancelled, "the client has gone");
}

v1::AdoptResponse to_message(const Adopted& adopted) {
  v1::AdoptResponse message;
  message.set_digest(adopted.digest);
  message.set_cid(adopted.cid);
  message.set_size(adopted.size);
  message.set_blocks(adopted.blocks);
  message.set_block_bytes(adopted.block_bytes);
  return message;
}

// Cancels a call when its client goes away: the synchronous API only tells who asks.
class CancelWhenGone {
 public:
  // `each_time` is called on a thread of its own whenever it has looked, until the destructor has returned.
  CancelWhenGone(grpc::ServerContext& context, Call& call, std::function<void()> each_time = {})
      : thread_([this, &context, &call, each_time = std::move(each_time)] {
          std::unique_lock lock(mutex_);
          while (!changed_.wait_for(lock, kProgressInterval, [this] { return over_; })) {
            if (context.IsCancelled()) return call.cancel();
            if (each_time) each_time();
          }
        }) {}
  ~CancelWhenGone() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;  // last: it uses the others
};

// Sends the progress of a call some times a second, and cancels it when its client goes away. The backend may tell it from
// threads of its own, as often as it likes and wrongly: it never waits for the client, and what is sent never goes back nor
// beyond the total. Response: PrefetchResponse or one with the same fields.
template <class Response>
class ProgressStream {
 public:
  ProgressStream(grpc::ServerContext& context, Call& call, grpc::ServerWriter<Response>& stream) : stream_(stream) {
    call.set_progress([this](std::string_view, uint64_t done, uint64_t total) {
      const std::lock_guard lock(mutex_);
      done_ = std::max(done_, done);
      total_ = std::max(total_, total);
    });
    watch_.emplace(context, call, [this] { send_news(); });
  }

  // After the call: sends the last message, in which `last` has what only that one has.
  void finish(Response last) {
    watch_.reset();
    set(last);
    last.set_finished(true);
    send(stream_, last);
  }

 private:
  // Whether the message said something else before.
  bool set(Response& message) {
    const std::lock_guard lock(mutex_);
    const uint64_t done = total_ == 0 ? done_ : std::min(done_, total_);
    const bool news = done != message.done_bytes() || total_ != message.total_bytes();
    message.set_done_bytes(done);
    message.set_total_bytes(total_);
    return news;
  }
  void send_news() {
    if (set(sent_)) stream_.Write(sent_);  // a client that has gone is noticed the next time
  }

  grpc::ServerWriter<Response>& stream_;
  std::mutex mutex_;  // guards the next two
  uint64_t done_ = 0, total_ = 0;
  Response sent_;                        // the watch's own
  std::optional<CancelWhenGone> watch_;  // last: it uses the others
};

}  // namespace

grpc::Status DagService::Features(grpc::ServerContext*, const v1::FeaturesRequest*, v1::FeaturesResponse* response) {
  response->set_backend(content_.backend().plugin().name);
  for (const std::string& feature : content::features(content_.backend())) response->add_features(feature);
  return grpc::Status::OK;
}

grpc::Status DagService::Locate(grpc::ServerContext* context, const v1::LocateRequest* request,
                                v1::LocateResponse* response) {
  Rpc rpc(*context, "Locate", log_);
  return rpc.run([&] {
    const auto locator = content::need<Locator>(content_.backend(), IPCS_LOCATE_V1);
    const auto cid = locator.cid_of(rpc.call(), Digest::parse(request->digest()).to_string());
    if (!cid) throw Error(Code::kNotFound, "content " + request->digest() + ": not found");
    response->set_cid(*cid);
  });
}

grpc::Status DagService::ListBlocks(grpc::ServerContext* context, const v1::ListBlocksRequest* request,
                                    grpc::ServerWriter<v1::ListBlocksResponse>* stream) {
  Rpc rpc(*context, "ListBlocks", log_);
  return rpc.run([&] {
    const CancelWhenGone watch(*context, rpc.call());
    const auto lister = content::need<BlockLister>(content_.backend(), IPCS_BLOCKS_V1);
    BlockCursor cursor = lister.list_blocks(rpc.call(), Digest::parse(request->digest()).to_string());
    for (;;) {
      v1::ListBlocksResponse response;
      for (const BlockEntry& block : cursor.next(rpc.call(), kBlockPage)) {
        v1::Block* out = response.add_blocks();
        out->set_cid(block.cid);
        out->set_size(block.size);
        out->set_offset(block.offset);
        out->set_length(block.length);
        out->set_leaf(block.leaf);
        out->set_local(block.local);
      }
      if (response.blocks_size() == 0) return;
      send(*stream, response);
    }
  });
}

grpc::Status DagService::AdoptBlob(grpc::ServerContext* context, const v1::AdoptBlobRequest* request,
                                   grpc::ServerWriter<v1::AdoptResponse>* stream) {
  Rpc rpc(*context, "AdoptBlob", log_);
  return rpc.run([&] {
    ProgressStream progress(*context, rpc.call(), *stream);
    const auto adopter = content::need<Adopter>(content_.backend(), IPCS_ADOPT_V1);
    const std::string digest = Digest::parse(request->digest()).to_string();
    progress.finish(to_message(content::adopt_and_pin(
        rpc.call(), content_, request->note(), request->owner(),
        [&] { return adopter.adopt_blob(rpc.call(), digest, request->chunker(), request->profile()); })));
  });
}

grpc::Status DagService::AdoptCid(grpc::ServerContext* context, const v1::AdoptCidRequest* request,
                                  grpc::ServerWriter<v1::AdoptResponse>* stream) {
  Rpc rpc(*context, "AdoptCid", log_);
  return rpc.run([&] {
    ProgressStream progress(*context, rpc.call(), *stream);
    const auto adopter = content::need<Adopter>(content_.backend(), IPCS_ADOPT_V1);
    const std::string digest =
        request->digest().empty() ? std::string() : Digest::parse(request->digest()).to_string();
    progress.finish(to_message(content::adopt_and_pin(
        rpc.call(), content_, request->note(), request->owner(),
        [&] { return adopter.adopt_cid(rpc.call(), request->cid(), digest, request->expected_size()); })));
  });
}

grpc::Status DagService::ExportCar(grpc::ServerContext* context, const v1::ExportCarRequest* request,
                                   grpc::ServerWriter<v1::ExportCarResponse>* stream) {
  Rpc rpc(*context, "ExportCar", log_);
  return rpc.run([&] {
    const CancelWhenGone watch(*context, rpc.call());
    const auto exchange = content::need<CarExchange>(content_.backend(), IPCS_CAR_V1);
    CarExport car = exchange.open_export(rpc.call(), std::vector(request->roots().begin(), request->roots().end()));
    std::vector<uint8_t> piece(kCarPiece);
    v1::ExportCarResponse response;
    while (const size_t count = car.read(rpc.call(), piece)) {
      response.set_data(piece.data(), count);
      send(*stream, response);
    }
  });
}

grpc::Status DagService::ImportCar(grpc::ServerContext* context,
                                   grpc::ServerReaderWriter<v1::ImportCarResponse, v1::ImportCarRequest>* stream) {
  Rpc rpc(*context, "ImportCar", log_);
  return rpc.run([&] {
    const CancelWhenGone watch(*context, rpc.call());
    const auto exchange = content::need<CarExchange>(content_.backend(), IPCS_CAR_V1);
    CarImport car = exchange.open_import(rpc.call());
    v1::ImportCarRequest request;
    bool ended = false;
    while (!ended && stream->Read(&request)) {
      const std::string& data = request.data();
      if (!data.empty()) car.append(rpc.call(), {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
      ended = request.end();
    }
    if (!ended) throw Error(Code::kCancelled, "the client has gone before the CAR's end");
    v1::ImportCarResponse response;
    for (std::string& root : car.finish(rpc.call())) response.add_roots(std::move(root));
    send(*stream, response);
    // Held until the client has adopted what it wants.
    if (stream->Read(&request)) throw Error(Code::kInvalidArgument, "bytes behind the CAR's end");
  });
}

grpc::Status DagService::Prefetch(grpc::ServerContext* context, const v1::PrefetchRequest* request,
                                  grpc::ServerWriter<v1::PrefetchResponse>* stream) {
  Rpc rpc(*context, "Prefetch", log_);
  return rpc.run([&] {
    ProgressStream progress(*context, rpc.call(), *stream);
    const auto prefetcher = content::need<Prefetcher>(content_.backend(), IPCS_PREFETCH_V1);
    prefetcher.prefetch(rpc.call(), Digest::parse(request->digest()).to_string(), request->offset(), request->size());
    progress.finish({});
  });
}

}  // namespace ipcs::service
