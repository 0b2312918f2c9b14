// A server that answers as a test says, down to single bytes: for everything that no real registry does.
#pragma once

#include <Poco/Net/Context.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ipcs::oci::test {

struct Request {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  size_t connection = 0;  // in the order of their acceptance, from 1

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class Reply {
 public:
  virtual ~Reply() = default;
  virtual void raw(std::string_view bytes) = 0;
  // Ends the connection after this.
  virtual void close() = 0;
  // Waits until the server is stopped, or the client has gone.
  virtual void hang() = 0;
  // Waits until the server is stopped, and reads nothing meanwhile.
  virtual void stall() = 0;

  // A whole answer with a Content-Length; `headers` are lines without their ends.
  void respond(int status, const std::vector<std::string>& headers = {}, std::string_view body = {},
               bool with_body = true);
};

class TestServer {
 public:
  using Handler = std::function<void(const Request&, Reply&)>;

  // Says of a request whose body has not come yet whether it is to be read before the handler is called.
  using TakesBody = std::function<bool(const Request&)>;

  // Listens on a free port of 127.0.0.1, with TLS when there is a context. `handler` is called on many threads.
  explicit TestServer(Handler handler, Poco::Net::Context::Ptr tls = nullptr, TakesBody takes_body = {});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  std::string host() const;  // "127.0.0.1:PORT"
  int port() const;
  // All requests so far.
  std::vector<Request> requests() const;
  size_t count(const std::string& method, const std::string& part_of_target) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ipcs::oci::test
