// Poco's session for requests and heads; bodies are read here, since Poco loses the fields behind a chunked one.
#include "kubo/connection.hpp"

#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "kubo/client.hpp"
#include "kubo/patient_socket.hpp"

namespace ipcs::kubo {
namespace {

constexpr size_t kMaxLine = 8 << 10;  // bytes of a chunk's size or of a field behind a body
constexpr size_t kMaxTrailers = 64;

// The status as it came, from 0 to 999. Poco keeps it in an enumeration that ends at 511, so that getStatus() is undefined
// for what a strange server may send; the library's own write() shows the number.
int status_of(const Poco::Net::HTTPResponse& response) {
  std::ostringstream head;
  response.write(head);
  const std::string text = head.str();
  int status = 0;
  std::from_chars(text.data() + text.find(' ') + 1, text.data() + text.size(), status);
  return status;
}

class HttpConnection final : public Connection, private Poco::Net::HTTPClientSession {
 public:
  HttpConnection(const Poco::Net::StreamSocket& socket, const Address& address, std::shared_ptr<const Tls> tls,
                 std::unique_ptr<Waiting> waiting)
      : HTTPClientSession(socket), address_(address), tls_(std::move(tls)), waiting_(std::move(waiting)) {
    setKeepAlive(true);
  }
  ~HttpConnection() override { waiting_->patience = nullptr; }

  bool reusable() noexcept override {
    if (!at_end_ || !keep_alive_) return false;
    pollfd fd{socket().impl()->sockfd(), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 0 && buffered() == 0;
  }

  void send(const Patience& patience, const std::string& target, const std::map<std::string, std::string>& headers,
            const Pieces& body) override {
    const Use use(*this, patience);
    uint64_t size = 0;
    for (const auto& piece : body) size += piece.size();
    Poco::Net::HTTPRequest request("POST", address_.prefix + target, "HTTP/1.1");
    request.set("Host", address_.host_header());
    request.set("User-Agent", "ipcs");
    for (const auto& [name, value] : headers) request.set(name, value);
    request.setContentLength64(static_cast<Poco::Int64>(size));
    std::ostringstream head;
    request.write(head);
    at_end_ = early_ = false;
    waiting_->received = false;
    // The first piece travels with the head: small requests are one packet.
    std::string front = head.str();
    size_t next = 0;
    while (next < body.size() && front.size() + body[next].size() <= (64 << 10)) {
      front.append(reinterpret_cast<const char*>(body[next].data()), body[next].size());
      ++next;
    }
    guarded([&] {
      if (!send_all(front.data(), front.size())) return;
      for (; next < body.size(); ++next) {
        if (!send_all(reinterpret_cast<const char*>(body[next].data()), body[next].size())) return;
      }
    });
  }

  Head receive(const Patience& patience) override {
    const Use use(*this, patience);
    Poco::Net::HTTPResponse response;
    Poco::Int64 length = 0;
    int status = 0;
    guarded([&] {
      receiveResponse(response);
      status = status_of(response);
      if (status < 100 || status > 599)  // RFC 9110, 15
        throw Error(Code::kInternal, "the answer is no HTTP (its status is " + std::to_string(status) + ")");
      length = response.getContentLength64();
      if (length < 0 && length != Poco::Net::HTTPMessage::UNKNOWN_CONTENT_LENGTH)
        throw Error(Code::kInternal, "the answer is no HTTP (its length is negative)");
    });
    keep_alive_ = !early_ && response.getKeepAlive() && response.getVersion() == "HTTP/1.1";
    chunked_ = response.getChunkedTransferEncoding();
    left_ = 0;
    until_close_ = false;
    if (!chunked_) {
      until_close_ = length == Poco::Net::HTTPMessage::UNKNOWN_CONTENT_LENGTH;
      if (!until_close_) left_ = static_cast<uint64_t>(length);
      at_end_ = !until_close_ && left_ == 0;
      if (until_close_) keep_alive_ = false;
    }
    trailers_.clear();
    return {status, response.getReason(), response.getContentType()};
  }

  size_t read(const Patience& patience, std::span<uint8_t> out) override {
    if (at_end_ || out.empty()) return 0;
    const Use use(*this, patience);
    size_t count = 0;
    guarded([&] {
      if (chunked_ && left_ == 0 && !begin_chunk()) return;
      const size_t wanted = until_close_ ? out.size() : std::min<uint64_t>(out.size(), left_);
      const int got =
          HTTPClientSession::read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(std::min<size_t>(wanted, 1 << 30)));
      if (got <= 0) {
        if (!until_close_) cut();
        at_end_ = true;
        return;
      }
      count = static_cast<size_t>(got);
      if (until_close_) return;
      left_ -= count;
      if (left_ > 0) return;
      if (chunked_) {
        line();  // the end of the chunk
      } else {
        at_end_ = true;
      }
    });
    return count;
  }

  std::string trailer(const std::string& name) const override {
    const auto found = trailers_.find(name);
    return found == trailers_.end() ? "" : found->second;
  }
  bool answered() const noexcept override { return waiting_->received; }

 private:
  using HTTPClientSession::read;  // of Poco's; not hidden by ours

  // The call that the socket waits for meanwhile.
  struct Use {
    Use(HttpConnection& connection, const Patience& patience) : waiting(*connection.waiting_) {
      waiting.patience = &patience;
    }
    ~Use() { waiting.patience = nullptr; }
    Waiting& waiting;
  };

  [[noreturn]] static void cut() {
    throw Error(Code::kFailedPrecondition, "the connection was cut in the middle of an answer");
  }

  template <class Body>
  void guarded(Body body) {
    try {
      waiting_->failure = nullptr;
      body();
      if (waiting_->failure) std::rethrow_exception(waiting_->failure);
    } catch (const Error&) {
      keep_alive_ = false;
      throw;
    } catch (const Poco::Exception& e) {
      keep_alive_ = false;
      if (waiting_->failure) std::rethrow_exception(waiting_->failure);
      if (!waiting_->received) throw Error(Code::kFailedPrecondition, "the connection was closed without an answer");
      throw Error(Code::kInternal, "the answer is no HTTP (" + one_line(e.displayText()) + ")");
    }
  }

  // False: Kubo answers already.
  bool send_all(const char* data, size_t size) {
    while (size > 0) {
      const int step = static_cast<int>(std::min<size_t>(size, 1 << 20));
      int sent = 0;
      try {
        sent = socket().sendBytes(data, step);
      } catch (const Error&) {
        // Whoever closes early may have said why.
        pollfd fd{socket().impl()->sockfd(), POLLIN, 0};
        if (waiting_->tls_failed || ::poll(&fd, 1, 0) <= 0 || (fd.revents & POLLIN) == 0) throw;
        waiting_->failure = nullptr;
        sent = 0;
      }
      data += sent;
      size -= static_cast<size_t>(sent);
      if (sent < step) {
        keep_alive_ = false;
        early_ = true;
        return false;
      }
    }
    return true;
  }

  int next_byte() {
    const int c = get();
    if (c == std::char_traits<char>::eof()) cut();
    return c;
  }
  std::string line() {
    std::string text;
    for (;;) {
      const int c = next_byte();
      if (c == '\n') break;
      if (text.size() == kMaxLine) throw Error(Code::kInternal, "the answer has an endless line between its chunks");
      text += static_cast<char>(c);
    }
    if (text.ends_with('\r')) text.pop_back();
    return text;
  }
  // False: the body has ended.
  bool begin_chunk() {
    const std::string text = line();
    const size_t digits = std::min(text.find(';'), text.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, left_, 16);
    if (error != std::errc() || end == text.data() || left_ > (uint64_t{1} << 48))
      throw Error(Code::kInternal, "the answer's chunks have no sizes");
    if (left_ > 0) return true;
    for (size_t count = 0;; ++count) {
      const std::string field = line();
      if (field.empty()) break;
      if (count == kMaxTrailers) throw Error(Code::kInternal, "too many fields behind an answer");
      const size_t colon = field.find(':');
      if (colon == std::string::npos) continue;
      std::string name = field.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      const size_t value = field.find_first_not_of(' ', colon + 1);
      trailers_[name] = value == std::string::npos ? "" : field.substr(value);
    }
    at_end_ = true;
    return false;
  }

  // Poco would connect again by itself: only open() connects.
  void connect(const Poco::Net::SocketAddress&) override {
    throw Error(Code::kFailedPrecondition, "the connection was closed");
  }
  bool mustReconnect() const override { return false; }

  const Address address_;
  const std::shared_ptr<const Tls> tls_;    // the socket refers to both
  const std::unique_ptr<Waiting> waiting_;  // at one place
  std::map<std::string, std::string> trailers_;
  uint64_t left_ = 0;  // bytes of the body, or of the chunk that is being read
  bool chunked_ = false, until_close_ = false;
  bool at_end_ = true;
  bool keep_alive_ = true;
  bool early_ = false;  // Kubo answered before it had all
};

}  // namespace

std::unique_ptr<Connection> Connection::open(const Address& address, std::shared_ptr<const Tls> tls,
                                             const Patience& patience) {
  auto waiting = std::make_unique<Waiting>();
  waiting->patience = &patience;
  const Poco::Net::StreamSocket socket = connect_patiently(address, tls.get(), *waiting);
  waiting->patience = nullptr;
  return std::make_unique<HttpConnection>(socket, address, std::move(tls), std::move(waiting));
}

}  // namespace ipcs::kubo
