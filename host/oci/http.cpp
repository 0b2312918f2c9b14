// Requests over Poco's sessions, on connections that this file makes, watches and keeps.
#include "oci/http.hpp"

#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/NetException.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <istream>
#include <sstream>

#include "ipcs/error.hpp"
#include "oci/connect.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using Clock = Call::Clock;
using Poco::Net::HTTPMessage;
using Poco::Net::HTTPRequest;
using Poco::Net::HTTPResponse;

constexpr uint64_t kLeastProgress = 1024;
constexpr int kMaxFields = 128;

// Keeps a write to a connection that is gone from ending the process, without changing what the process does with the
// signal elsewhere.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    if (sigismember(&before_, SIGPIPE) == 1) return;
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutSigpipe(const WithoutSigpipe&) = delete;
  WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
};

// The status as it came. Poco keeps it in an enumeration that ends at 511, so that getStatus() is undefined for what a
// strange server may send; the library's own write() shows the number.
int status_of(const HTTPResponse& response, const std::string& host) {
  std::ostringstream head;
  response.write(head);
  const std::string text = head.str();
  int status = 0;
  std::from_chars(text.data() + text.find(' ') + 1, text.data() + text.size(), status);
  if (status < 100 || status > 599)  // RFC 9110, 15
    throw Error(Code::kUnavailable, host + ": the answer's status " + std::to_string(status) + " is none of HTTP's");
  return status;
}

std::string describe(const Poco::Exception& error) {
  const std::string text = one_line(error.displayText());
  return dynamic_cast<const Poco::Net::NoMessageException*>(&error) != nullptr ? "the connection was closed" : text;
}

}  // namespace

// Poco's session on a connected socket. It has no host, so Poco can't connect anew behind our back.
class HttpClient::Connection : public Poco::Net::HTTPClientSession {
 public:
  Connection(const Poco::Net::StreamSocket& socket, std::string connection_key)
      : HTTPClientSession(socket), key(std::move(connection_key)) {
    setKeepAlive(true);
    setTimeout(Poco::Timespan(0));  // the watch has all limits
  }
  // The body without Poco's stream, which moves 4 KiB at a time.
  size_t read_raw(uint8_t* buffer, size_t size) {
    const int got = read(reinterpret_cast<char*>(buffer), static_cast<std::streamsize>(size));
    return got > 0 ? static_cast<size_t>(got) : 0;
  }

  // Whether the peer has ended the connection, and nothing that it sent is left. Not seen through TLS.
  bool at_end() {
    char byte;
    return buffered() == 0 && ::recv(socket().impl()->sockfd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  }

  const std::string key;
  bool reused = false;
};

struct HttpClient::Idle {
  std::unique_ptr<Connection> connection;
  Clock::time_point since;
};

struct HttpResponse::Exchange {
  HttpClient& client;
  std::unique_ptr<HttpClient::Connection> connection;
  HTTPResponse response;
  int status = 0;
  std::istream* body = nullptr;       // of unknown length
  std::optional<uint64_t> remaining;  // of known length
  uint64_t unrewarded = 0;            // bytes since the watch's limit was moved
  bool complete = false;
  std::string host;
  std::optional<Watch::Guard> guard;  // last: gone before the connection is

  explicit Exchange(HttpClient& owner) : client(owner) {}
  ~Exchange() {
    const bool good = complete && connection && response.getKeepAlive();
    // TLS says goodbye at the end, which must not wait for a peer that does not read.
    if (!good && guard) guard->end();
    guard.reset();
    if (good) client.keep(std::move(connection));
  }

  [[noreturn]] void broken(const std::string& why) const {
    if (guard && guard->ended()) throw Error(Code::kUnavailable, host + ": nothing came for too long");
    throw Error(Code::kUnavailable, host + ": " + why);
  }
};

HttpResponse::HttpResponse(std::unique_ptr<Exchange> exchange) noexcept : exchange_(std::move(exchange)) {}
HttpResponse::HttpResponse(HttpResponse&&) noexcept = default;
HttpResponse& HttpResponse::operator=(HttpResponse&& other) noexcept {
  HttpResponse old(std::move(other));
  std::swap(exchange_, old.exchange_);
  return *this;
}
HttpResponse::~HttpResponse() {
  if (exchange_ == nullptr) return;
  const WithoutSigpipe quiet;  // TLS says goodbye
  exchange_.reset();
}

int HttpResponse::status() const noexcept {
  return exchange_->status;
}
const std::string& HttpResponse::reason() const noexcept {
  return exchange_->response.getReason();
}
std::string HttpResponse::header(const std::string& name) const {
  return exchange_->response.get(name, "");
}

std::vector<std::string> HttpResponse::headers(const std::string& name) const {
  std::vector<std::string> values;
  for (auto at = exchange_->response.find(name); at != exchange_->response.end(); ++at) {
    if (lower_case(at->first) == lower_case(name)) values.push_back(at->second);
  }
  return values;
}

std::optional<uint64_t> HttpResponse::length() const {
  const std::string text = header("Content-Length");
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoull(text);
}

size_t HttpResponse::read(std::span<uint8_t> buffer) {
  Exchange& x = *exchange_;
  if (x.complete || buffer.empty()) return 0;
  size_t got = 0;
  try {
    const WithoutSigpipe quiet;
    if (x.remaining) {
      got = x.connection->read_raw(buffer.data(), static_cast<size_t>(std::min<uint64_t>(buffer.size(), *x.remaining)));
      if (got == 0) x.broken("the connection ended before the answer");
      *x.remaining -= got;
    } else {
      x.body->read(reinterpret_cast<char*>(buffer.data()),
                   static_cast<std::streamsize>(std::min<size_t>(buffer.size(), 32768)));
      got = static_cast<size_t>(x.body->gcount());
      if (x.body->bad() || x.connection->networkException() != nullptr) x.broken("the connection broke");
      if (got == 0 && x.guard->ended()) x.broken("");
    }
  } catch (const Poco::Exception& error) {
    x.broken(describe(error));
  }
  x.complete = x.remaining ? *x.remaining == 0 : got == 0;
  // Poco takes a chunk's malformed header for the end: such a connection is not used again.
  if (x.complete && !x.remaining) x.response.setKeepAlive(false);
  x.unrewarded += got;
  if (x.unrewarded >= kLeastProgress) {
    x.guard->within(x.client.options().progress);
    x.unrewarded = 0;
  }
  return got;
}

std::string HttpResponse::text(uint64_t limit) {
  const auto too_long = [&] {
    return Error(Code::kResourceExhausted,
                 exchange_->host + ": an answer of more than " + std::to_string(limit) + " bytes");
  };
  if (length().value_or(0) > limit) throw too_long();
  std::string text;
  std::vector<uint8_t> buffer(32768);
  while (const size_t got = read(buffer)) {
    if (got > limit - text.size()) throw too_long();
    text.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
  }
  return text;
}

std::string HttpResponse::excerpt(size_t limit) noexcept {
  std::string text;
  try {
    std::vector<uint8_t> buffer(limit);
    while (text.size() < limit) {
      const size_t got = read(std::span(buffer).first(limit - text.size()));
      if (got == 0) break;
      text.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    }
  } catch (const std::exception&) {
    // What came is what is shown.
  }
  return text;
}

HttpClient::HttpClient(HttpOptions options) : options_(std::move(options)) {}

HttpClient::~HttpClient() {
  const WithoutSigpipe quiet;
  idle_.clear();
}

std::unique_ptr<HttpClient::Connection> HttpClient::kept(const std::string& key) {
  for (;;) {
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      const auto oldest = Clock::now() - options_.idle;
      std::erase_if(idle_, [&](const auto& entry) { return entry.second.since < oldest; });
      const auto found = idle_.find(key);
      if (found == idle_.end()) return nullptr;
      connection = std::move(found->second.connection);
      idle_.erase(found);
    }
    // Something to read before a request is its end, or out of step.
    try {
      if (!connection->socket().poll(Poco::Timespan(0), Poco::Net::Socket::SELECT_READ)) {
        connection->reused = true;
        return connection;
      }
    } catch (const Poco::Exception&) {
    }
  }
}

void HttpClient::keep(std::unique_ptr<Connection> connection) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (idle_.count(connection->key) >= options_.idle_per_host) return;
    const std::string key = connection->key;
    idle_.emplace(key, Idle{std::move(connection), Clock::now()});
  } catch (const std::exception&) {
    // Without memory a connection is closed instead.
  }
}

Poco::Net::Context::Ptr HttpClient::context_for(const Url& url) {
  const std::lock_guard lock(mutex_);
  Poco::Net::Context::Ptr& context = contexts_[url.authority()];
  if (context.isNull()) context = tls_context(options_.tls, url.host, url.authority());
  return context;
}

std::unique_ptr<HttpClient::Connection> HttpClient::connect(const Url& url, const std::optional<Url>& proxy,
                                                            const Call& call) {
  const Url& first = proxy ? *proxy : url;
  Poco::Net::StreamSocket socket = connect_tcp(first.host, first.port, options_.connect, call);
  const std::string key = url.scheme + "://" + url.authority();
  if (!url.secure()) return std::make_unique<Connection>(socket, key);

  Watch::Guard guard(watch_, socket.impl()->sockfd(), call);
  guard.within(options_.connect);
  try {
    if (proxy) {
      Connection tunnel(socket, "");
      const std::string authority =
          (url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]") + ":" + std::to_string(url.port);
      HTTPRequest request(HTTPRequest::HTTP_CONNECT, authority, HTTPMessage::HTTP_1_1);
      request.set("Host", authority);
      if (!proxy->user_info.empty()) {
        request.set("Proxy-Authorization", "Basic " + base64_encode(percent_decode(proxy->user_info)));
      }
      tunnel.sendRequest(request);
      HTTPResponse response;
      response.setFieldLimit(kMaxFields);
      tunnel.receiveResponse(response);
      const std::string name = "the proxy " + proxy->authority();
      const int status = status_of(response, name);
      // Asking again does not help.
      if (status == 407)
        throw Error(Code::kFailedPrecondition,
                    name + (proxy->user_info.empty() ? " answers 407: its address needs USER:PASSWORD@ in front"
                                                     : " answers 407: it does not take the user and password of its address"));
      if (status / 100 != 2) throw Error(Code::kUnavailable, name + " answers " + std::to_string(status));
      socket = tunnel.detachSocket();
    }
    return std::make_unique<Connection>(tls_handshake(socket, url.host, context_for(url)), key);
  } catch (const Poco::Exception& error) {
    if (guard.ended()) throw Error(Code::kUnavailable, "no answer in time");
    throw Error(Code::kUnavailable, describe(error));
  } catch (const Error&) {
    if (guard.ended()) throw Error(Code::kUnavailable, "no answer in time");
    throw;
  }
}

HttpResponse HttpClient::send(const HttpRequest& request, const Call& call) {
  const WithoutSigpipe quiet;
  const std::optional<Url> proxy = options_.proxies.for_url(request.url);
  const std::string host = request.url.authority();
  for (bool fresh = false;; fresh = true) {
    call.check();
    auto exchange = std::make_unique<HttpResponse::Exchange>(*this);
    exchange->host = host;
    if (!fresh) exchange->connection = kept(request.url.scheme + "://" + host);
    if (!exchange->connection) {
      try {
        exchange->connection = connect(request.url, proxy, call);
      } catch (const Error& error) {
        const std::string what = error.what();
        if (error.code() == Code::kCancelled || error.code() == Code::kDeadlineExceeded || what.starts_with(host))
          throw;
        throw Error(error.code(), host + ": " + what);
      }
    }
    Connection& connection = *exchange->connection;
    exchange->guard.emplace(watch_, connection.socket().impl()->sockfd(), call);

    const bool through = proxy && !request.url.secure();
    HTTPRequest sent(request.method, through ? request.url.to_string() : request.url.target, HTTPMessage::HTTP_1_1);
    sent.setKeepAlive(true);
    sent.set("Host", host);
    sent.set("User-Agent", options_.user_agent);
    sent.set("Accept-Encoding", "identity");
    for (const auto& [name, value] : request.headers) sent.set(name, value);
    if (through && !proxy->user_info.empty()) {
      sent.set("Proxy-Authorization", "Basic " + base64_encode(percent_decode(proxy->user_info)));
    }
    const uint64_t length = request.writer ? request.length.value_or(0) : request.body.size();
    if (length > 0 || (request.method != "GET" && request.method != "HEAD"))
      sent.setContentLength64(static_cast<Poco::Int64>(length));

    bool written = false, sent_all = false;
    try {
      exchange->guard->within(options_.progress);
      std::ostream& out = connection.sendRequest(sent);
      uint64_t total = 0;
      uint64_t unrewarded = 0;
      const auto write = [&](std::span<const uint8_t> piece) {
        written = true;
        out.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
        if (!out) throw Poco::Net::NetException("the connection broke");
        total += piece.size();
        if ((unrewarded += piece.size()) >= kLeastProgress) {
          exchange->guard->within(options_.progress);
          unrewarded = 0;
        }
      };
      if (request.writer) {
        request.writer(write);
        if (total != length)
          throw Error(Code::kInternal, host + ": a request's body has another length than announced");
      } else {
        out.write(request.body.data(), static_cast<std::streamsize>(request.body.size()));
      }
      out.flush();
      // The stream swallows what the socket throws. A server may have answered before it took all.
      sent_all = out.good();
      if (!sent_all && exchange->guard->ended()) throw Poco::Net::NetException("the connection broke");
      exchange->guard->within(options_.answer);
      exchange->response.setFieldLimit(kMaxFields);
      exchange->body = &connection.receiveResponse(exchange->response);
    } catch (const Poco::Exception& error) {
      const bool limit = exchange->guard->ended();
      // The server may have closed a kept connection in the moment that we took it.
      if (!limit && connection.reused && !fresh && !(written && request.writer)) continue;
      if (limit && length > 0 && !sent_all)
        throw Error(Code::kUnavailable, host + ": nothing of the request's body was taken for too long");
      throw Error(Code::kUnavailable, host + ": " + (limit ? "no answer in time" : describe(error)));
    }

    // Poco takes a header that is cut off for a whole one.
    if (exchange->guard->ended()) throw Error(Code::kUnavailable, host + ": no answer in time");
    HTTPResponse& response = exchange->response;
    const int status = exchange->status = status_of(response, host);
    const bool bodiless = request.method == "HEAD" || status == 204 || status == 304;
    if (response.has("Content-Length") && !response.getChunkedTransferEncoding()) {
      exchange->remaining =
          response.getContentLength64() > 0 ? static_cast<uint64_t>(response.getContentLength64()) : 0;
    }
    exchange->complete = bodiless || exchange->remaining == 0U;
    if (!exchange->complete && exchange->remaining && connection.at_end())
      exchange->broken("the connection ended in the answer's header");
    exchange->guard->within(options_.progress);
    return HttpResponse(std::move(exchange));
  }
}

}  // namespace ipcs::oci
