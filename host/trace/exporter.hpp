// Sends the spans of sampled requests to an OpenTelemetry collector.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ipcs/error.hpp"
#include "log/log.hpp"
#include "trace/context.hpp"

namespace ipcs::trace {

// A request that is under way, as a span of the trace that its client continues.
struct Span {
  Context context;                         // the trace, and the span's own id
  std::array<uint8_t, 8> parent_id{};      // the client's span
  std::chrono::system_clock::time_point begun;
};

// OTLP over gRPC without TLS, as a collector on the same machine or in the same cluster takes it. Spans wait in memory and
// go out in batches by a thread of its own; nobody who records one waits. [thread-safe]
class Exporter {
 public:
  static constexpr size_t kMostWaiting = 4096;  // spans; more are dropped and counted
  static constexpr size_t kMostInBatch = 512;

  struct Counts {
    uint64_t sent = 0;     // spans that the collector has taken
    uint64_t dropped = 0;  // spans that it has not
  };

  // `address` is "host:port". Connects when there is something to send; a collector that is away costs its spans and a
  // warning a minute at most.
  Exporter(const std::string& address, const log::Log& log,
           std::chrono::milliseconds interval = std::chrono::seconds(5));
  Exporter(const Exporter&) = delete;
  // Sends what waits, for two seconds at most.
  ~Exporter();

  // Begins the server's span of a request; nothing when the client's trace is not sampled.
  static std::optional<Span> begin(const std::optional<Context>& client);

  // Ends it. `method` is the full name on the wire: "/containerd.services.content.v1.Content/Read".
  void end(const Span& span, std::string_view method, Code code) noexcept;

  Counts counts() const;

 private:
  struct Ended;
  struct Collector;

  void work();
  void send(std::vector<Ended> spans, std::chrono::milliseconds limit);

  const log::Log log_;
  const std::chrono::milliseconds interval_;
  const std::unique_ptr<Collector> collector_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Ended> waiting_;
  Counts counts_;
  bool stopping_ = false;

  std::chrono::steady_clock::time_point next_warning_;  // the thread's
  std::thread thread_;
};

}  // namespace ipcs::trace
