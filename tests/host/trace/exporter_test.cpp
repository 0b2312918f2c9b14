// The exporter towards collectors that take spans, refuse them, and are not there.
#include "trace/exporter.hpp"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "ipcs/otlp/trace.pb.h"

using namespace std::chrono_literals;
using ipcs::Code;
using ipcs::trace::Context;
using ipcs::trace::Exporter;
using ipcs::trace::Span;

namespace {

const char kMethod[] = "/containerd.services.content.v1.Content/Read";

// Takes one request at a time on a port of its own, and answers each with `code`.
class Collector {
 public:
  explicit Collector(grpc::StatusCode code) : code_(code) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterAsyncGenericService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Collector() {
    server_->Shutdown(std::chrono::system_clock::now());
    queue_->Shutdown();
    thread_.join();
  }

  std::vector<ipcs::otlp::ExportRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  std::string address;

 private:
  bool next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_->Next(&tag, &ok) && ok;
  }
  void serve() {
    while (true) {
      grpc::GenericServerContext context;
      grpc::GenericServerAsyncReaderWriter stream(&context);
      service_.RequestCall(&context, &stream, queue_.get(), queue_.get(), this);
      if (!next()) break;
      grpc::ByteBuffer bytes;
      stream.Read(&bytes, this);
      if (!next()) break;
      grpc::Slice slice;
      ipcs::otlp::ExportRequest request;
      if (bytes.DumpToSingleSlice(&slice).ok() &&
          request.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      const grpc::ByteBuffer answer;
      if (code_ == grpc::StatusCode::OK) {
        stream.WriteAndFinish(answer, grpc::WriteOptions(), grpc::Status::OK, this);
      } else {
        stream.Finish({code_, "not now"}, this);
      }
      if (!next()) break;
    }
    void* tag = nullptr;
    for (bool ok = false; queue_->Next(&tag, &ok);) {
    }
  }

  const grpc::StatusCode code_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::vector<ipcs::otlp::ExportRequest> requests_;
  std::thread thread_;
};

Context client(bool sampled) {
  Context context;
  context.trace_id.fill(7);
  context.span_id.fill(9);
  context.sampled = sampled;
  return context;
}

template <class Condition>
void wait_for(Condition condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(5ms);
  REQUIRE(condition());
}

}  // namespace

TEST_CASE("only a sampled trace gets a span, with an id of its own") {
  CHECK_FALSE(Exporter::begin(std::nullopt));
  CHECK_FALSE(Exporter::begin(client(false)));
  const auto one = Exporter::begin(client(true)), two = Exporter::begin(client(true));
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->context.trace_id == client(true).trace_id);
  CHECK(one->parent_id == client(true).span_id);
  CHECK(one->context.span_id != one->parent_id);
  CHECK(one->context.span_id != two->context.span_id);
}

TEST_CASE("spans reach the collector in batches, and the rest at the end") {
  Collector collector(grpc::StatusCode::OK);
  const size_t count = Exporter::kMostInBatch + 10;
  {
    Exporter exporter(collector.address, ipcs::log::Log(), 1h);
    const auto span = Exporter::begin(client(true));
    for (size_t i = 0; i < count; ++i) exporter.end(*span, kMethod, i == 0 ? Code::kInternal : Code::kNotFound);
    wait_for([&] { return exporter.counts().sent >= Exporter::kMostInBatch; });
    CHECK(exporter.counts().dropped == 0);
  }
  size_t spans = 0, errors = 0;
  for (const auto& request : collector.requests()) {
    REQUIRE(request.resource_spans_size() == 1);
    for (const auto& span : request.resource_spans(0).scope_spans(0).spans()) {
      ++spans;
      errors += span.status().code() == ipcs::otlp::Status::CODE_ERROR ? 1 : 0;
      CHECK(span.name() == kMethod + 1);
      CHECK(span.end_time_unix_nano() >= span.start_time_unix_nano());
    }
  }
  CHECK(spans == count);
  CHECK(errors == 1);  // NotFound is an answer
}

TEST_CASE("what a collector refuses is dropped and counted") {
  Collector collector(grpc::StatusCode::RESOURCE_EXHAUSTED);
  Exporter exporter(collector.address, ipcs::log::Log(), 10ms);
  exporter.end(*Exporter::begin(client(true)), kMethod, Code::kOk);
  wait_for([&] { return exporter.counts().dropped == 1; });
  CHECK(exporter.counts().sent == 0);
}

TEST_CASE("a collector that is away delays nobody for long, and takes no memory without bound") {
  const auto begun = std::chrono::steady_clock::now();
  {
    Exporter exporter("127.0.0.1:1", ipcs::log::Log(), 1h);
    const auto span = Exporter::begin(client(true));
    for (size_t i = 0; i < 10 * Exporter::kMostWaiting; ++i) exporter.end(*span, kMethod, Code::kOk);
    wait_for([&] { return exporter.counts().dropped > Exporter::kMostWaiting; });
  }
  CHECK(std::chrono::steady_clock::now() - begun < 8s);
}
