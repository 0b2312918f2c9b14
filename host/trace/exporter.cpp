// Batches of spans as one unary RPC each.
#include "trace/exporter.hpp"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "ipcs/otlp/trace.pb.h"

namespace ipcs::trace {
namespace {

using namespace std::chrono_literals;

constexpr char kExport[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr auto kSendLimit = 10s;
constexpr auto kStopLimit = 2s;
constexpr auto kBetweenWarnings = 60s;

// As OpenTelemetry's conventions for gRPC servers have it: what a client asked wrongly is no error of the server's span.
bool is_error(Code code) {
  switch (code) {
    case Code::kUnknown:
    case Code::kDeadlineExceeded:
    case Code::kUnimplemented:
    case Code::kInternal:
    case Code::kUnavailable:
    case Code::kDataLoss: return true;
    default: return false;
  }
}

uint64_t nanoseconds(std::chrono::system_clock::time_point time) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

template <class Message>
void add(Message& message, const char* key, std::string value) {
  otlp::Attribute& attribute = *message.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_string_value(std::move(value));
}

template <class Message>
void add(Message& message, const char* key, int64_t value) {
  otlp::Attribute& attribute = *message.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_int_value(value);
}

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

struct Exporter::Ended {
  Span span;
  std::chrono::system_clock::time_point ended;
  std::string method;
  Code code = Code::kOk;

  void write(otlp::Span& to) const {
    to.set_trace_id(span.context.trace_id.data(), span.context.trace_id.size());
    to.set_span_id(span.context.span_id.data(), span.context.span_id.size());
    to.set_parent_span_id(span.parent_id.data(), span.parent_id.size());
    to.set_name(method.substr(1));
    to.set_kind(otlp::Span::KIND_SERVER);
    to.set_start_time_unix_nano(nanoseconds(span.begun));
    // The clock may have been set back in between.
    to.set_end_time_unix_nano(std::max(nanoseconds(span.begun), nanoseconds(ended)));
    const size_t slash = method.rfind('/');
    add(to, "rpc.system", "grpc");
    add(to, "rpc.service", method.substr(1, slash - 1));
    add(to, "rpc.method", method.substr(slash + 1));
    add(to, "rpc.grpc.status_code", static_cast<int64_t>(code));
    if (is_error(code)) to.mutable_status()->set_code(otlp::Status::CODE_ERROR);
  }
};

// The other end of the connection.
struct Exporter::Collector {
  explicit Collector(const std::string& address) : stub(channel_to(address)) {}

  static std::shared_ptr<grpc::Channel> channel_to(const std::string& address) {
    grpc::ChannelArguments arguments;
    // A daemon's spans go where the configuration says, whatever proxy its environment names.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }

  grpc::Status send(const otlp::ExportRequest& request, std::chrono::milliseconds limit) {
    const grpc::Slice slice(request.SerializeAsString());
    grpc::ByteBuffer bytes(&slice, 1), answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + limit);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareUnaryCall(&context, kExport, bytes, &queue);
    grpc::Status status;
    call->StartCall();
    call->Finish(&answer, &status, call.get());
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    return status;
  }

  grpc::GenericStub stub;
};

Exporter::Exporter(const std::string& address, const log::Log& log, std::chrono::milliseconds interval)
    : log_(log), interval_(interval), collector_(std::make_unique<Collector>(address)), thread_([this] { work(); }) {}

Exporter::~Exporter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<Span> Exporter::begin(const std::optional<Context>& client) {
  if (!client || !client->sampled) return std::nullopt;
  thread_local std::mt19937_64 random{std::random_device()()};
  Span span{*client, client->span_id, std::chrono::system_clock::now()};
  uint64_t id = 0;
  while (id == 0) id = random();
  std::copy_n(reinterpret_cast<const uint8_t*>(&id), sizeof id, span.context.span_id.begin());
  return span;
}

void Exporter::end(const Span& span, std::string_view method, Code code) noexcept {
  try {
    Ended ended{span, std::chrono::system_clock::now(), std::string(method), code};
    const std::lock_guard lock(mutex_);
    if (waiting_.size() == kMostWaiting) {
      ++counts_.dropped;
      return;
    }
    waiting_.push_back(std::move(ended));
    if (waiting_.size() == kMostInBatch) changed_.notify_all();
  } catch (const std::exception&) {
    // Without memory a span is the least that is lost.
  }
}

Exporter::Counts Exporter::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Exporter::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait_for(lock, interval_, [this] { return stopping_ || waiting_.size() >= kMostInBatch; });
    const bool last = stopping_;
    const auto end = std::chrono::steady_clock::now() + (last ? kStopLimit : kSendLimit);
    while (!waiting_.empty()) {
      const size_t count = std::min(waiting_.size(), kMostInBatch);
      std::vector<Ended> batch(std::make_move_iterator(waiting_.begin()),
                               std::make_move_iterator(waiting_.begin() + static_cast<ptrdiff_t>(count)));
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(count));
      lock.unlock();
      const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      send(std::move(batch), std::max(rest, 1ms));
      lock.lock();
      if (stopping_ && !last) break;  // what is left has the end's limit
    }
    if (last) return;
  }
}

void Exporter::send(std::vector<Ended> spans, std::chrono::milliseconds limit) {
  grpc::Status status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no memory");
  try {
    otlp::ExportRequest request;
    otlp::ResourceSpans& from = *request.add_resource_spans();
    add(*from.mutable_resource(), "service.name", "ipcsd");
    add(*from.mutable_resource(), "service.version", IPCS_VERSION);
    add(*from.mutable_resource(), "host.name", host_name());
    add(*from.mutable_resource(), "process.pid", static_cast<int64_t>(::getpid()));
    otlp::ScopeSpans& scope = *from.add_scope_spans();
    scope.mutable_scope()->set_name("ipcs");
    scope.mutable_scope()->set_version(IPCS_VERSION);
    for (const Ended& span : spans) span.write(*scope.add_spans());
    status = collector_->send(request, limit);
  } catch (const std::bad_alloc&) {
    // as the status says
  }
  {
    const std::lock_guard lock(mutex_);
    (status.ok() ? counts_.sent : counts_.dropped) += spans.size();
  }
  const auto now = std::chrono::steady_clock::now();
  if (status.ok() || now < next_warning_) return;
  next_warning_ = now + kBetweenWarnings;
  log_.warn("the trace collector took no spans: " + status.error_message(), {{"spans", std::to_string(spans.size())}});
}

}  // namespace ipcs::trace
