// The endpoint on civetweb.
#include "metrics/endpoint.hpp"

#include <civetweb.h>

#include <array>
#include <atomic>
#include <exception>
#include <string_view>
#include <thread>

namespace ipcs::metrics {
namespace {

struct Answer {
  int status = 200;
  const char* type = "text/plain; charset=utf-8";
  std::string body;
};

const char* reason_phrase(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

void send(mg_connection* connection, const Answer& answer, bool head) {
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s"
            "Connection: close\r\n\r\n",
            answer.status, reason_phrase(answer.status), answer.type, answer.body.size(),
            answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
  if (!head) mg_write(connection, answer.body.data(), answer.body.size());
}

}  // namespace

struct Endpoint::Server {
  Server(Metrics& source, Readiness ready) : metrics(source), readiness(std::move(ready)) {}

  Metrics& metrics;
  Readiness readiness;
  mg_context* context = nullptr;
  std::atomic<bool> started{false};
  std::string problem;  // what civetweb says first while it starts: the cause

  Answer answer(std::string_view method, std::string_view path) const {
    if (method != "GET" && method != "HEAD") return {.status = 405, .body = "GET and HEAD only\n"};
    if (path == "/metrics") return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics.scrape()};
    if (path == "/livez") return {.body = "ok\n"};
    if (path == "/readyz") {
      const std::string reason = readiness();
      return reason.empty() ? Answer{.body = "ok\n"} : Answer{.status = 503, .body = reason + '\n'};
    }
    return {.status = 404, .body = "there are /metrics, /livez and /readyz\n"};
  }

  // Answers every request, so that civetweb never looks for a file.
  static int begin_request(mg_connection* connection) {
    const mg_request_info& request = *mg_get_request_info(connection);
    const std::string_view method = request.request_method, path = request.local_uri;
    Answer answer;
    try {
      answer = static_cast<const Server*>(request.user_data)->answer(method, path);
    } catch (const std::exception& error) {
      answer = {.status = 500, .body = std::string(error.what()) + '\n'};
    }
    send(connection, answer, method == "HEAD");
    return answer.status;
  }

  static int log_message(const mg_connection* connection, const char* message) {
    auto* server = static_cast<Server*>(mg_get_user_data(mg_get_context(connection)));
    // Once it serves, its threads say only that some client misbehaved.
    if (server != nullptr && !server->started && server->problem.empty()) server->problem = message;
    return 1;  // not to standard error
  }
};

Endpoint::Endpoint(const std::string& address, Metrics& metrics, Readiness readiness)
    : server_(std::make_unique<Server>(metrics, std::move(readiness))), host_(address.substr(0, address.rfind(':'))) {
  mg_init_library(0);
  const char* options[] = {"listening_ports",
                           address.c_str(),
                           "num_threads",
                           "2",
                           "request_timeout_ms",
                           "10000",
                           "enable_directory_listing",
                           "no",
                           nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = Server::begin_request;
  callbacks.log_message = Server::log_message;
  std::array<char, 256> text{};
  mg_init_data init{.callbacks = &callbacks, .user_data = server_.get(), .configuration_options = options};
  mg_error_data error{.code = nullptr, .text = text.data(), .text_buffer_size = text.size()};
  server_->context = mg_start2(&init, &error);
  if (server_->context == nullptr) {
    mg_exit_library();
    const std::string why = server_->problem.empty() ? text.data() : server_->problem;
    throw Error(Code::kUnavailable, "metrics address " + address + ": " + (why.empty() ? "can't be bound" : why));
  }
  server_->started = true;
  std::array<mg_server_port, 2> ports{};
  if (mg_get_server_ports(server_->context, ports.size(), ports.data()) > 0) port_ = ports[0].port;
}

Endpoint::~Endpoint() {
  // civetweb's accepting thread looks at its stop flag every two seconds, or after a connection: so one is made.
  std::atomic<bool> stopped{false};
  std::thread stop([&] {
    mg_stop(server_->context);
    stopped = true;
  });
  while (!stopped) {
    std::array<char, 256> ignored{};
    mg_connection* knock = mg_connect_client(host_.c_str(), port_, 0, ignored.data(), ignored.size());
    if (knock != nullptr) mg_close_connection(knock);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  stop.join();
  mg_exit_library();
}

}  // namespace ipcs::metrics
