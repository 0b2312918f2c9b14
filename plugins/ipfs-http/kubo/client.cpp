// Requests over pooled connections, and Kubo's errors turned into ours.
#include "kubo/client.hpp"

#include <Poco/URI.h>
#include <sys/random.h>

#include <array>
#include <nlohmann/json.hpp>

#include "kubo/tls.hpp"

namespace ipcs::kubo {
namespace {

constexpr size_t kMaxErrorBody = 64 << 10;

std::string target_of(const std::string& command, const Arguments& arguments) {
  std::string target = "/api/v0/" + command;
  char separator = '?';
  for (const auto& [name, value] : arguments) {
    std::string encoded;
    Poco::URI::encode(value, "!#$&'()*+,/:;=?@[]%", encoded);
    target += separator + name + "=" + encoded;
    separator = '&';
  }
  return target;
}

std::string random_boundary() {
  std::array<uint8_t, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Error(Code::kInternal, "the kernel gives no random bytes");
  std::string text = "ipcs-";
  for (const uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (line.size() >= 300) return line + "…";
    line += static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c;
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

Code code_of(std::string_view message) {
  const auto says = [&](std::string_view words) { return message.find(words) != std::string_view::npos; };
  if (says("no space left") || says("disk quota exceeded") || says("disk full")) return Code::kResourceExhausted;
  if (says("not found") || says("could not find") || says("does not exist") || says("no link named") ||
      says("not pinned"))
    return Code::kNotFound;
  if (says("already has entry") || says("already exists")) return Code::kAlreadyExists;
  if (says("context canceled") || says("node is shutting down") || says("closed")) return Code::kFailedPrecondition;
  if (says("read-only file system") || says("permission denied")) return Code::kFailedPrecondition;
  return Code::kInternal;
}

Client::Client(ClientConfig config)
    : config_(std::move(config)), tls_(make_tls(config_.address, config_.ca_file)) {}

Answer::~Answer() {
  if (connection_ && client_ != nullptr && connection_->reusable()) client_->give_back(std::move(connection_));
}

size_t Answer::read(const plugin::Call& call, std::span<uint8_t> out) {
  try {
    const size_t count = connection_->read(client_->patience(call), out);
    if (count == 0 && !out.empty()) {
      if (const std::string error = connection_->trailer("x-stream-error"); !error.empty())
        throw Error(code_of(error), one_line(error));
    }
    return count;
  } catch (const Error& e) {
    throw client_->named(e, what_);
  }
}

std::string Answer::text(const plugin::Call& call, size_t limit) {
  std::string all;
  std::array<uint8_t, 16384> piece;
  for (;;) {
    const size_t count = read(call, piece);
    if (count == 0) return all;
    if (all.size() + count > limit) throw client_->named(Error(Code::kInternal, "the answer is too long"), what_);
    all.append(reinterpret_cast<const char*>(piece.data()), count);
  }
}

nlohmann::json Answer::json(const plugin::Call& call, size_t limit) {
  const std::string all = text(call, limit);
  nlohmann::json parsed = nlohmann::json::parse(all, nullptr, false);
  if (parsed.is_discarded())
    throw client_->named(Error(Code::kInternal, "the answer is no JSON: \"" + one_line(all.substr(0, 80)) + "\""), what_);
  return parsed;
}

Error Client::named(const Error& e, const std::string& command) const {
  return Error(e.code(), "Kubo at " + config_.address.shown + ": " + command + ": " + e.what());
}

std::unique_ptr<Connection> Client::take_idle() {
  const std::lock_guard lock(mutex_);
  while (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    if (connection->reusable()) return connection;
  }
  return nullptr;
}

void Client::give_back(std::unique_ptr<Connection> connection) noexcept {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < config_.idle_connections) idle_.push_back(std::move(connection));
}

Answer Client::post(const plugin::Call& call, const std::string& command, const Arguments& arguments) {
  return post(call, command, arguments, {}, "");
}

Answer Client::post_file(const plugin::Call& call, const std::string& command, const Arguments& arguments,
                         const Pieces& file) {
  const std::string boundary = random_boundary();
  const std::string before = "--" + boundary +
                             "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"data\"\r\n"
                             "Content-Type: application/octet-stream\r\n\r\n";
  const std::string behind = "\r\n--" + boundary + "--\r\n";
  Pieces body;
  body.reserve(file.size() + 2);
  body.push_back(bytes_of(before));
  body.insert(body.end(), file.begin(), file.end());
  body.push_back(bytes_of(behind));
  return post(call, command, arguments, body, "multipart/form-data; boundary=" + boundary);
}

Answer Client::post(const plugin::Call& call, const std::string& command, const Arguments& arguments,
                    const Pieces& body, const std::string& content_type) {
  const std::string target = target_of(command, arguments);
  std::map<std::string, std::string> headers;
  if (!content_type.empty()) headers["Content-Type"] = content_type;
  if (!config_.authorization.empty()) headers["Authorization"] = config_.authorization;
  for (;;) {
    std::unique_ptr<Connection> connection = take_idle();
    const bool reused = connection != nullptr;
    Head head;
    try {
      const Patience limits = patience(call);
      if (!connection) {
        connection = Connection::open(config_.address, tls_, limits);
        ++connections_;
      }
      connection->send(limits, target, headers, body);
      head = connection->receive(limits);
    } catch (const Error& e) {
      // Kubo may close a connection that was idle just as the request leaves: it has not begun then.
      if (reused && !connection->answered() && e.code() == Code::kFailedPrecondition) {
        const std::lock_guard lock(mutex_);
        idle_.clear();
        continue;
      }
      throw named(e, command);
    }
    if (head.status != 200) refuse(call, command, head, *connection);
    return Answer(*this, std::move(connection), command);
  }
}

void Client::refuse(const plugin::Call& call, const std::string& command, const Head& head,
                    Connection& connection) const {
  std::string body;
  try {
    std::array<uint8_t, 4096> piece;
    while (body.size() < kMaxErrorBody) {
      const size_t count = connection.read(patience(call), piece);
      if (count == 0) break;
      body.append(reinterpret_cast<const char*>(piece.data()), count);
    }
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded) throw named(e, command);
  }
  const nlohmann::json parsed = nlohmann::json::parse(body, nullptr, false);
  std::string message;
  if (parsed.is_object() && parsed.contains("Message") && parsed["Message"].is_string())
    message = parsed["Message"].get<std::string>();
  const std::string status = std::to_string(head.status) + " " + one_line(head.reason);
  if (head.status == 401)
    throw named(Error(Code::kUnauthenticated, status + ": the key \"auth\" is not what Kubo wants"), command);
  if (head.status == 403)
    throw named(Error(Code::kPermissionDenied, status + ": " + one_line(message.empty() ? body : message)), command);
  if (head.status == 500 && !message.empty()) throw named(Error(code_of(message), one_line(message)), command);
  throw named(Error(Code::kInternal, status + ": " + one_line(message.empty() ? body : message)), command);
}

}  // namespace ipcs::kubo
