// Non-blocking reads and writes with a wait before each that would block; TLS in slices of time.
#include "kubo/patient_socket.hpp"

#include <Poco/Net/HTTPSClientSession.h>
#include <Poco/Net/NetException.h>
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

// Runs a step of a socket and keeps what it throws.
template <class Body>
auto keeping(Waiting& waiting, Body body) {
  try {
    return body();
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
  TlsSocket(Poco::Net::StreamSocketImpl* plain, Poco::Net::Context::Ptr context, const std::string& host, Waiting& waiting)
      : SecureStreamSocketImpl(plain, context), waiting_(waiting) {
    setPeerHostName(host);
  }

  void start() {
    slices();
    keeping(waiting_, [&] {
      for (;;) {
        try {
          connectSSL();
          return;
        } catch (const Poco::TimeoutException&) {
          waiting_.patience->check();
        }
      }
    });
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
    return keeping(waiting_, [&] {
      for (;;) {
        try {
          const int count = step();
          if (count >= 0) return count;
        } catch (const Poco::TimeoutException&) {
          // The call is looked at below.
        }
        waiting_.patience->check();
      }
    });
  }

  Waiting& waiting_;
};

Poco::Net::Context::Ptr tls_context() {
  static const Poco::Net::Context::Ptr context = [] {
    Poco::Net::Context::Params params;
    params.verificationMode = Poco::Net::Context::VERIFY_STRICT;
    params.loadDefaultCAs = true;
    return new Poco::Net::Context(Poco::Net::Context::TLS_CLIENT_USE, params);
  }();
  return context;
}

}  // namespace

Poco::Net::StreamSocket connect_patiently(const Address& address, Waiting& waiting) {
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
    if (!address.tls) return owner;
    auto* secure = new TlsSocket(plain, tls_context(), address.host, waiting);
    SocketOf secure_owner(secure);
    secure->start();
    return secure_owner;
  } catch (const Poco::Exception& e) {
    fail(waiting, e.displayText());
  }
}

}  // namespace ipcs::kubo
