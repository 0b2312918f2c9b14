// An HTTP server that answers with whatever bytes a test wants, also with none, too many or half of them.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ipcs::ipfs_http::test {

// A request: its head as it came, its target ("/api/v0/…"), how many bytes of body, and those.
struct FakeRequest {
  std::string head, target;
  size_t body = 0;
  std::string content = {};  // while it is answered
};

// One thread a connection. `answer` gives the bytes of an answer, head included; the connection is closed after an answer
// that contains "Connection: close" and kept otherwise. Empty: silence until the test ends.
class FakeKubo {
 public:
  using Answer = std::function<std::string(const FakeRequest&)>;

  explicit FakeKubo(Answer answer, const std::string& unix_path = "") : answer_(std::move(answer)) {
    if (unix_path.empty()) {
      listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in any{};
      any.sin_family = AF_INET;
      any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
      socklen_t size = sizeof any;
      REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size) == 0);
      address_ = "/ip4/127.0.0.1/tcp/" + std::to_string(ntohs(any.sin_port));
    } else {
      listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_un path{};
      path.sun_family = AF_UNIX;
      unix_path.copy(path.sun_path, sizeof path.sun_path - 1);
      REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&path), sizeof path) == 0);
      address_ = "/unix" + unix_path;
    }
    REQUIRE(::listen(listener_, 64) == 0);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  FakeKubo(const FakeKubo&) = delete;
  FakeKubo& operator=(const FakeKubo&) = delete;
  ~FakeKubo() {
    over_ = true;
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  const std::string& address() const { return address_; }
  std::vector<FakeRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  size_t connections() const { return connections_; }

  // An answer with a body of known length.
  static std::string plain(const std::string& body, const std::string& status = "200 OK", const std::string& more = "") {
    return "HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // As Kubo answers: chunks, and a field behind them.
  static std::string chunked(const std::string& body, const std::string& stream_error = "") {
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\nTransfer-Encoding: chunked\r\n\r\n";
    char size[20];
    if (!body.empty()) {
      std::snprintf(size, sizeof size, "%zx", body.size());
      text += std::string(size) + "\r\n" + body + "\r\n";
    }
    text += "0\r\n";
    if (!stream_error.empty()) text += "X-Stream-Error: " + stream_error + "\r\n";
    return text + "\r\n";
  }

 private:
  bool readable(int fd) const {
    while (!over_) {
      pollfd wait{fd, POLLIN, 0};
      if (::poll(&wait, 1, 20) > 0) return true;
    }
    return false;
  }
  void accept_all() {
    while (readable(listener_)) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++connections_;
      threads_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }
  void serve(int fd) {
    std::string bytes;
    for (;;) {
      size_t end = 0;
      while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
        if (!more(fd, bytes)) return;
      }
      FakeRequest request{bytes.substr(0, end + 2), "", 0};
      const size_t space = request.head.find(' ');
      request.target = request.head.substr(space + 1, request.head.find(' ', space + 1) - space - 1);
      if (const size_t at = request.head.find("Content-Length: "); at != std::string::npos)
        request.body = std::stoul(request.head.substr(at + 16));
      bytes.erase(0, end + 4);
      while (bytes.size() < request.body) {
        if (!more(fd, bytes)) return;
      }
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      request.content = bytes.substr(0, request.body);
      bytes.erase(0, request.body);
      const std::string text = answer_(request);
      if (text.empty()) {
        while (!over_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return;
      }
      for (size_t done = 0; done < text.size();) {
        const ssize_t count = ::send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
        if (count <= 0) return;
        done += static_cast<size_t>(count);
      }
      if (text.find("Connection: close") != std::string::npos) return;
    }
  }
  bool more(int fd, std::string& bytes) const {
    char piece[65536];
    if (!readable(fd)) return false;
    const ssize_t count = ::recv(fd, piece, sizeof piece, 0);
    if (count <= 0) return false;
    bytes.append(piece, static_cast<size_t>(count));
    return true;
  }

  const Answer answer_;
  int listener_ = -1;
  std::string address_;
  std::atomic<bool> over_{false};
  std::atomic<size_t> connections_{0};
  std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
};

}  // namespace ipcs::ipfs_http::test
