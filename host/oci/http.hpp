// HTTP/1.1 with kept connections, in which nothing waits for ever: one request, one answer, no retries, no redirects.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "oci/call.hpp"
#include "oci/proxy.hpp"
#include "oci/tls.hpp"
#include "oci/url.hpp"
#include "oci/watch.hpp"

namespace ipcs::oci {

struct HttpOptions {
  TlsOptions tls;
  Proxies proxies;
  std::string user_agent = "ipcs";
  std::chrono::milliseconds connect{10'000};   // for one address, and for a TLS handshake
  std::chrono::milliseconds answer{60'000};    // from the request's last byte to the end of the answer's header
  std::chrono::milliseconds progress{30'000};  // in which at least 1 KiB of a body has to move
  size_t idle_per_host = 8;                    // connections kept
  std::chrono::seconds idle{20};               // and for how long
};

// Writes pieces of a request's body.
using BodyWriter = std::function<void(const std::function<void(std::span<const uint8_t>)>& write)>;

struct HttpRequest {
  std::string method = "GET";
  Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;                // sent when `writer` is empty
  std::optional<uint64_t> length;  // of what `writer` writes; it must write just as much
  BodyWriter writer;
};

class HttpClient;

// An answer: its header at once, its body as it is asked for. Its connection goes back to the client when the body was
// read to its end, else it is closed. One thread at a time; must not outlive the client.
class HttpResponse {
 public:
  HttpResponse(HttpResponse&&) noexcept;
  HttpResponse& operator=(HttpResponse&&) noexcept;
  ~HttpResponse();

  int status() const noexcept;
  const std::string& reason() const noexcept;
  // "" when there is none; names in any case.
  std::string header(const std::string& name) const;
  std::vector<std::string> headers(const std::string& name) const;
  // What Content-Length says of the body.
  std::optional<uint64_t> length() const;
  // Bytes of the body, at least one until it ends. Throws Error kUnavailable when the connection ends before it or has
  // stalled, kCancelled, kDeadlineExceeded.
  size_t read(std::span<uint8_t> buffer);
  // The rest of the body. Throws as read(), and kResourceExhausted when it is longer than `limit`.
  std::string text(uint64_t limit);
  // The first bytes of the body, whatever becomes of the rest: for messages.
  std::string excerpt(size_t limit) noexcept;

 private:
  friend class HttpClient;
  struct Exchange;
  explicit HttpResponse(std::unique_ptr<Exchange> exchange) noexcept;

  std::unique_ptr<Exchange> exchange_;
};

// Any thread, several at once. A kept connection that turns out to be dead is replaced once, unless a body has been
// written by a `writer`. Headers are limited: 128 fields, names to 256 bytes, values to 8 KiB.
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();

  // Throws Error kUnavailable when no answer came (what `writer` throws goes through), kFailedPrecondition for a
  // certificate that is refused, kCancelled, kDeadlineExceeded. Messages name the host.
  HttpResponse send(const HttpRequest& request, const Call& call);
  const HttpOptions& options() const noexcept { return options_; }

 private:
  friend class HttpResponse;
  class Connection;
  struct Idle;

  std::unique_ptr<Connection> connect(const Url& url, const std::optional<Url>& proxy, const Call& call);
  std::unique_ptr<Connection> kept(const std::string& key);
  void keep(std::unique_ptr<Connection> connection) noexcept;
  Poco::Net::Context::Ptr context_for(const Url& url);

  HttpOptions options_;
  Watch watch_;
  std::mutex mutex_;
  std::multimap<std::string, Idle> idle_;
  std::map<std::string, Poco::Net::Context::Ptr> contexts_;
};

}  // namespace ipcs::oci
