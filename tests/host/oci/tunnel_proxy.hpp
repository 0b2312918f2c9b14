// A proxy that takes every CONNECT to one port of this machine.
#pragma once

#include <Poco/Net/NetException.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/StreamSocket.h>

#include <atomic>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ipcs::oci::test {

class TunnelProxy {
 public:
  // Listens on a free port of 127.0.0.1 and connects to `port` there.
  explicit TunnelProxy(int port) : port_(port), listener_(Poco::Net::SocketAddress("127.0.0.1", 0)) {
    acceptor_ = std::thread([this] {
      while (!over_) {
        if (!readable(listener_)) continue;
        threads_.emplace_back([this, client = listener_.acceptConnection()]() mutable { serve(client); });
      }
    });
  }
  ~TunnelProxy() {
    over_ = true;
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
  }
  TunnelProxy(const TunnelProxy&) = delete;
  TunnelProxy& operator=(const TunnelProxy&) = delete;

  std::string host() const { return "127.0.0.1:" + std::to_string(listener_.address().port()); }
  // Of all requests so far, with their ends of lines.
  std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  static bool readable(Poco::Net::Socket& socket) {
    return socket.poll(Poco::Timespan(0, 20'000), Poco::Net::Socket::SELECT_READ);
  }

  void serve(Poco::Net::StreamSocket& client) {
    try {
      std::string head;
      char byte = 0;
      while (!over_ && head.find("\r\n\r\n") == std::string::npos) {
        if (!readable(client)) continue;
        if (client.receiveBytes(&byte, 1) <= 0) return;
        head += byte;
      }
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(head);
      }
      Poco::Net::StreamSocket server(Poco::Net::SocketAddress("127.0.0.1", static_cast<uint16_t>(port_)));
      const std::string established = "HTTP/1.1 200 Connection established\r\n\r\n";
      client.sendBytes(established.data(), static_cast<int>(established.size()));
      std::thread back([&] { pass(server, client); });
      pass(client, server);
      back.join();
    } catch (const Poco::Exception&) {
      // Either has gone.
    }
  }

  // All bytes from one to the other, until either goes.
  void pass(Poco::Net::StreamSocket& from, Poco::Net::StreamSocket& to) {
    try {
      std::vector<char> piece(65536);
      while (!over_) {
        if (!readable(from)) continue;
        const int count = from.receiveBytes(piece.data(), static_cast<int>(piece.size()));
        if (count <= 0) break;
        for (int sent = 0; sent < count;) sent += to.sendBytes(piece.data() + sent, count - sent);
      }
      to.shutdownSend();
    } catch (const Poco::Exception&) {
      // The other one's thread finds out by itself.
    }
  }

  const int port_;
  Poco::Net::ServerSocket listener_;
  std::atomic<bool> over_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace ipcs::oci::test
