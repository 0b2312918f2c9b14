// ipcsctl's way to the daemon: gRPC over the control socket, with errors that people understand.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <ipcs/v1/admin.grpc.pb.h>
#include <services/content/v1/content.grpc.pb.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "cli/interrupt.hpp"

namespace ipcs::cli {

namespace content_api = ::containerd::services::content::v1;
namespace admin_api = ::ipcs::v1;

// The address of the control socket when no flag names one: $IPCS_CONTROL, else in $IPCS_ROOT, else where ipcsd has it by
// default. Throws Error kInvalidArgument when none is known.
std::string default_address();

// A connection that is made at first use. Calls may run one after the other; Ctrl-C cancels the one under way.
class Connection {
 public:
  // `address`: path of a unix socket, with or without "unix://", empty: default_address(). `timeout` of each call.
  Connection(std::string address, std::optional<std::chrono::nanoseconds> timeout, Interrupt& interrupt);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // These throw Error when nobody listens: kUnavailable, kPermissionDenied, kInvalidArgument.
  content_api::Content::Stub& content();
  admin_api::Admin::Stub& admin();
  const std::string& address();
  // For clients of other rooms; throws as content().
  std::shared_ptr<grpc::Channel> channel();
  const std::optional<std::chrono::nanoseconds>& timeout() const { return timeout_; }
  // Stops what such clients do, as Ctrl-C stops calls here.
  std::stop_token stop() const { return stop_.get_token(); }

  // The circumstances of one call. Lives until the call has ended; must go before the connection does.
  class Request {
   public:
    explicit Request(Connection& connection);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    grpc::ClientContext* context() { return &context_; }
    // Gives up the call: its end is then no error.
    void cancel() { context_.TryCancel(); }

   private:
    Connection& connection_;
    grpc::ClientContext context_;
  };

  // Throws what a failed call means: Interrupted after Ctrl-C, else Error.
  void check(const grpc::Status& status);
  // For one that waits for something else while the call is under way: throws what the call's end will say when its time is
  // over or ipcsd has gone.
  void check(Request& request);

  // Makes a call that has one answer, and returns that.
  template <class Response, class Stub, class Call, class Message>
  Response call(Stub& stub, Call Stub::*method, const Message& message);

 private:
  void connect();
  void cancel_all();

  std::string address_;
  const std::optional<std::chrono::nanoseconds> timeout_;
  Interrupt& interrupt_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<content_api::Content::Stub> content_;
  std::unique_ptr<admin_api::Admin::Stub> admin_;
  std::stop_source stop_;
  std::mutex mutex_;
  std::set<grpc::ClientContext*> open_;
};

template <class Response, class Stub, class Call, class Message>
Response Connection::call(Stub& stub, Call Stub::*method, const Message& message) {
  Request request(*this);
  Response response;
  check((stub.*method)(request.context(), message, &response));
  return response;
}

}  // namespace ipcs::cli
