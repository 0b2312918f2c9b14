// Calls of Kubo's RPC API: POST /api/v0/…, over a few connections that are kept.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kubo/connection.hpp"

namespace ipcs::kubo {

struct ClientConfig {
  Address address;
  std::string authorization;  // the value of that header, or empty
  std::chrono::milliseconds silence{60'000};  // after so long without a byte Kubo counts as gone
  size_t idle_connections = 16;
  std::string ca_file = {};  // authorities believed besides the system's, PEM
};

using Arguments = std::vector<std::pair<std::string, std::string>>;

class Client;

// The body of an answer with status 200. One thread at a time; the client outlives it. Dropping it before its end ends
// the call in Kubo too.
class Answer {
 public:
  Answer(Answer&&) noexcept = default;
  Answer& operator=(Answer&&) = delete;
  ~Answer();

  // The next bytes, 0: the end. Throws Error as Client::post() does, also for an error that Kubo sends behind the body.
  size_t read(const plugin::Call& call, std::span<uint8_t> out);
  // All that is left, in one string. Throws Error kInternal above `limit` bytes.
  std::string text(const plugin::Call& call, size_t limit);
  // The same as JSON. Throws Error kInternal when it is none.
  nlohmann::json json(const plugin::Call& call, size_t limit = 16 << 20);

 private:
  friend class Client;
  Answer(Client& client, std::unique_ptr<Connection> connection, std::string what)
      : client_(&client), connection_(std::move(connection)), what_(std::move(what)) {}

  Client* client_;
  std::unique_ptr<Connection> connection_;
  std::string what_;  // the command, for messages
};

// [thread-safe]
class Client {
 public:
  // Throws Error kInvalidArgument for a file of authorities that is of no use.
  explicit Client(ClientConfig config);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Calls `command` ("block/get"). Throws Error whose message names Kubo's address and the command: kCancelled,
  // kDeadlineExceeded; kFailedPrecondition when Kubo can't be reached or falls silent; kNotFound, kResourceExhausted (no
  // space), kPermissionDenied, kUnauthenticated and kInternal for what Kubo itself reports.
  Answer post(const plugin::Call& call, const std::string& command, const Arguments& arguments = {});
  // The same with a file as argument: `file` is sent piece by piece, never copied.
  Answer post_file(const plugin::Call& call, const std::string& command, const Arguments& arguments,
                   const Pieces& file);

  // How many connections were opened so far: while none is, answers come from the same process.
  uint64_t connections() const noexcept { return connections_; }
  // Where Kubo is, for people.
  const std::string& where() const noexcept { return config_.address.shown; }

 private:
  friend class Answer;
  Answer post(const plugin::Call& call, const std::string& command, const Arguments& arguments, const Pieces& body,
              const std::string& content_type);
  Patience patience(const plugin::Call& call) const { return {call, config_.silence}; }
  std::unique_ptr<Connection> take_idle();
  void give_back(std::unique_ptr<Connection> connection) noexcept;
  // The error with Kubo's address and the command in front.
  Error named(const Error& e, const std::string& command) const;
  [[noreturn]] void refuse(const plugin::Call& call, const std::string& command, const Head& head,
                           Connection& connection) const;

  const ClientConfig config_;
  const std::shared_ptr<const Tls> tls_;
  std::atomic<uint64_t> connections_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // the last one was used last
};

// The code for what Kubo says in words: its own codes tell next to nothing.
Code code_of(std::string_view message);

// `text`, which may be anything, as part of a message: one line, cut.
std::string one_line(std::string_view text);

}  // namespace ipcs::kubo
