// Non-blocking reads and writes with a wait before each that would block; TLS in slices of time.
#include "kubo/patient_socket.hpp"

#include <Poco/Net/IPAddress.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/SSLException.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <Poco/Net/SecureStreamSocketImpl.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace ipcs::kubo {
namespace {

using Poco::Net::SocketAddress;

// StreamSocket's constructor from an implementation is for derived classes.
class SocketOf : public Poco::Net::StreamSocket {
 public:
  explicit SocketOf(Poco::Net::SocketImpl* implementation) : StreamSocket(implementation) {}
};

[[noreturn]] void fail(Waiting& waiting, const std::string& message) {
  waiting.failure = std::make_exception_ptr(Error(Code::kFailedPrecondition, message));
  std::rethrow_exception(waiting.failure);
}

// Runs a step of a socket and keeps what it throws. `tls`: of that kind of socket, to tell what is wrong with it.
template <class Body>
auto keeping(Waiting& waiting, Body body, const Tls* tls = nullptr) {
  try {
    return body();
  } catch (const Poco::Net::SSLException& e) {
    const Error told = tls == nullptr ? Error(Code::kFailedPrecondition, e.displayText()) : tls_error(*tls, e);
    waiting.failure = std::make_exception_ptr(told);
    waiting.tls_failed = !waiting.tls_stands;
    std::rethrow_exception(waiting.failure);
  } catch (...) {
    waiting.failure = std::current_exception();
    throw;
  }
}

class PlainSocket final : public Poco::Net::StreamSocketImpl {
 public:
  PlainSocket(SocketAddress::Family family, Waiting& waiting) : StreamSocketImpl(family), waiting_(waiting) {}

  void connect_patiently(const SocketAddress& address) {
    keeping(waiting_, [&] {
      connectNB(address);
      waiting_.patience->wait(sockfd(), POLLOUT);
    });
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(sockfd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) fail(waiting_, std::strerror(error));
    const int one = 1;
    if (address.family() != SocketAddress::UNIX_LOCAL) ::setsockopt(sockfd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }

  int receiveBytes(void* buffer, int length, int /*flags*/) override {
    for (;;) {
      const ssize_t count = ::recv(sockfd(), buffer, static_cast<size_t>(length), MSG_DONTWAIT);
      if (count > 0) waiting_.received = true;
      if (count >= 0) return static_cast<int>(count);
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) fail(waiting_, std::strerror(errno));
      keeping(waiting_, [&] { waiting_.patience->wait(sockfd(), POLLIN); });
    }
  }

  // Sends all, or what Kubo takes before it begins to answer.
  int sendBytes(const void* buffer, int length, int /*flags*/) override {
    const auto* bytes = static_cast<const char*>(buffer);
    int sent = 0;
    while (sent < length) {
      const ssize_t count =
          ::send(sockfd(), bytes + sent, static_cast<size_t>(length - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) {
        sent += static_cast<int>(count);
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) fail(waiting_, std::strerror(errno));
      const short ready = keeping(waiting_, [&] { return waiting_.patience->wait(sockfd(), POLLIN | POLLOUT); });
      if ((ready & POLLIN) != 0) return sent;
    }
    return sent;
  }

 private:
  Waiting& waiting_;
};

// OpenSSL reads and writes by itself; short time limits let the call be looked at in between.
class TlsSocket final : public Poco::Net::SecureStreamSocketImpl {
 public:
  // Both outlive the socket.
  TlsSocket(Poco::Net::StreamSocketImpl* plain, const Tls& tls, Waiting& waiting)
      : SecureStreamSocketImpl(plain, tls.context), tls_(tls), waiting_(waiting) {
    Poco::Net::IPAddress number;
    if (!Poco::Net::IPAddress::tryParse(tls.host, number)) setPeerHostName(tls.host);  // server names are names
  }

  void start() {
    slices();
    keeping(waiting_, [&] { connectSSL(); }, &tls_);  // the handshake is the first use's
  }
  int receiveBytes(void* buffer, int length, int flags) override {
    return patiently([&] {
      const int count = SecureStreamSocketImpl::receiveBytes(buffer, length, flags);
      if (count > 0) waiting_.received = true;
      return count;
    });
  }
  int sendBytes(const void* buffer, int length, int flags) override {
    const auto* bytes = static_cast<const char*>(buffer);
    int sent = 0;
    while (sent < length) {
      sent += patiently([&] { return SecureStreamSocketImpl::sendBytes(bytes + sent, length - sent, flags); });
    }
    return sent;
  }

 private:
  void slices() {
    setReceiveTimeout(Poco::Timespan(0, 100'000));
    setSendTimeout(Poco::Timespan(0, 100'000));
  }
  template <class Step>
  int patiently(Step step) {
    const auto begun = std::chrono::steady_clock::now();
    return keeping(
        waiting_,
        [&] {
          for (;;) {
            try {
              const int count = step();
              if (count >= 0) {
                waiting_.tls_stands = true;
                return count;
              }
            } catch (const Poco::TimeoutException&) {
              // The call is looked at below.
            }
            waiting_.patience->check(begun);
          }
        },
        &tls_);
  }

  const Tls& tls_;
  Waiting& waiting_;
};

}  // namespace

Poco::Net::StreamSocket connect_patiently(const Address& address, const Tls* tls, Waiting& waiting) {
  SocketAddress target;
  try {
    target = address.kind == Address::Kind::kUnix ? SocketAddress(SocketAddress::UNIX_LOCAL, address.path)
                                                  : SocketAddress(address.host, address.port);
  } catch (const Poco::Exception& e) {
    fail(waiting, e.displayText());
  }
  try {
    auto* plain = new PlainSocket(target.family(), waiting);
    SocketOf owner(plain);
    plain->connect_patiently(target);
    if (tls == nullptr) return owner;
    auto* secure = new TlsSocket(plain, *tls, waiting);
    SocketOf secure_owner(secure);
    secure->start();
    return secure_owner;
  } catch (const Poco::Exception& e) {
    fail(waiting, e.displayText());
  }
}

}  // namespace ipcs::kubo
