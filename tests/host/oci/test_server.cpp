// The test server: a thread per connection, requests with Content-Length only.
#include "host/oci/test_server.hpp"

#include <Poco/Net/NetException.h>
#include <Poco/Net/SecureServerSocket.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <Poco/Net/ServerSocket.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include "oci/text.hpp"

namespace ipcs::oci::test {

void Reply::respond(int status, const std::vector<std::string>& headers, std::string_view body, bool with_body) {
  std::string text =
      "HTTP/1.1 " + std::to_string(status) + " Status\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  for (const std::string& header : headers) text += header + "\r\n";
  raw(text + "\r\n");
  if (with_body) raw(body);
}

struct TestServer::State {
  Handler handler;
  TakesBody takes_body;
  Poco::Net::ServerSocket listener;
  bool secure = false;
  std::atomic<bool> over{false};
  mutable std::mutex mutex;
  std::condition_variable ended;
  std::vector<Request> requests;
  std::set<int> sockets;
  std::list<std::thread> threads;
  std::thread acceptor;

  void accept();
  void serve(Poco::Net::StreamSocket socket, size_t number);
};

namespace {

struct Closed {};

class SocketReply : public Reply {
 public:
  SocketReply(Poco::Net::StreamSocket& socket, const std::atomic<bool>& over) : socket_(socket), over_(over) {}

  void raw(std::string_view bytes) override {
    while (!bytes.empty()) {
      const int sent = socket_.sendBytes(bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
      if (sent <= 0) throw Closed{};
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void close() override { throw Closed{}; }
  void hang() override {
    while (!over_ && !socket_.poll(Poco::Timespan(0, 20'000), Poco::Net::Socket::SELECT_READ)) {
    }
    throw Closed{};
  }
  void stall() override {
    while (!over_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    throw Closed{};
  }

 private:
  Poco::Net::StreamSocket& socket_;
  const std::atomic<bool>& over_;
};

}  // namespace

void TestServer::State::serve(Poco::Net::StreamSocket socket, size_t number) {
  std::string buffer;
  std::vector<char> piece(65536);
  const auto more = [&] {
    const int got = socket.receiveBytes(piece.data(), static_cast<int>(piece.size()));
    if (got <= 0) throw Closed{};
    buffer.append(piece.data(), static_cast<size_t>(got));
  };
  try {
    for (;;) {
      size_t end;
      while ((end = buffer.find("\r\n\r\n")) == std::string::npos) more();
      Request request;
      request.connection = number;
      const std::string head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      request.method = head.substr(0, head.find(' '));
      const size_t target = head.find(' ') + 1;
      request.target = head.substr(target, head.find(' ', target) - target);
      for (size_t at = head.find("\r\n") + 2; at < head.size();) {
        const size_t line_end = head.find("\r\n", at);
        const std::string line = head.substr(at, line_end - at);
        const size_t colon = line.find(':');
        request.headers[lower_case(line.substr(0, colon))] = line.substr(line.find_first_not_of(' ', colon + 1));
        at = line_end + 2;
      }
      const bool wanted = !takes_body || takes_body(request);
      const std::string length = wanted ? request.header("content-length") : "";
      while (!length.empty() && buffer.size() < std::stoull(length)) more();
      if (!length.empty()) {
        request.body = buffer.substr(0, std::stoull(length));
        buffer.erase(0, request.body.size());
      }
      {
        const std::lock_guard lock(mutex);
        requests.push_back(request);
      }
      SocketReply reply(socket, over);
      handler(request, reply);
    }
  } catch (const Closed&) {
  } catch (const Poco::Exception&) {
    // The client has gone.
  }
  const std::lock_guard lock(mutex);
  sockets.erase(socket.impl()->sockfd());
  try {
    socket.close();
  } catch (const Poco::Exception&) {
  }
}

void TestServer::State::accept() {
  for (size_t number = 1; !over; ++number) {
    try {
      if (!listener.poll(Poco::Timespan(0, 50'000), Poco::Net::Socket::SELECT_READ)) {
        --number;
        continue;
      }
      Poco::Net::StreamSocket socket = listener.acceptConnection();
      const std::lock_guard lock(mutex);
      sockets.insert(socket.impl()->sockfd());
      threads.emplace_back([this, socket, number] { serve(socket, number); });
    } catch (const Poco::Exception&) {
      // A client that went away while it was accepted.
    }
  }
}

TestServer::TestServer(Handler handler, Poco::Net::Context::Ptr tls, TakesBody takes_body)
    : state_(std::make_unique<State>()) {
  ::signal(SIGPIPE, SIG_IGN);
  state_->handler = std::move(handler);
  state_->takes_body = std::move(takes_body);
  const Poco::Net::SocketAddress address("127.0.0.1", 0);
  if (tls.isNull()) {
    state_->listener = Poco::Net::ServerSocket(address);
  } else {
    state_->listener = Poco::Net::SecureServerSocket(address, 64, tls);
  }
  state_->acceptor = std::thread([this] { state_->accept(); });
}

TestServer::~TestServer() {
  state_->over = true;
  state_->acceptor.join();
  {
    const std::lock_guard lock(state_->mutex);
    for (const int fd : state_->sockets) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : state_->threads) thread.join();
}

std::string TestServer::host() const {
  return "127.0.0.1:" + std::to_string(port());
}
int TestServer::port() const {
  return state_->listener.address().port();
}

std::vector<Request> TestServer::requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->requests;
}

size_t TestServer::count(const std::string& method, const std::string& part_of_target) const {
  size_t n = 0;
  for (const Request& request : requests())
    n += request.method == method && request.target.find(part_of_target) != std::string::npos;
  return n;
}

}  // namespace ipcs::oci::test
