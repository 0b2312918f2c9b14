// Resolving and connecting in steps short enough to notice that nobody waits any more.
#include "oci/connect.hpp"

#include <Poco/Net/DNS.h>
#include <Poco/Net/IPAddress.h>
#include <Poco/Net/NetException.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "ipcs/error.hpp"
#include "oci/text.hpp"

namespace ipcs::oci {
namespace {

using Addresses = std::vector<Poco::Net::IPAddress>;

struct Lookup {
  std::mutex mutex;
  std::condition_variable_any done;
  std::optional<Addresses> addresses;
  std::string failure;
};

Addresses resolve(const std::string& host, const Call& call) {
  Poco::Net::IPAddress literal;
  if (Poco::Net::IPAddress::tryParse(host, literal)) return {literal};
  const auto lookup = std::make_shared<Lookup>();
  // getaddrinfo() can't be interrupted; it ends by the resolver's own limits.
  std::thread([lookup, host] {
    Addresses addresses;
    std::string failure = "no address";
    try {
      addresses = Poco::Net::DNS::hostByName(host).addresses();
    } catch (const std::exception&) {
      failure = "the name is not known";
    }
    const std::lock_guard lock(lookup->mutex);
    lookup->addresses = std::move(addresses);
    lookup->failure = failure;
    lookup->done.notify_all();
  }).detach();

  std::unique_lock lock(lookup->mutex);
  // Short steps, since a deadline may be the clock's last moment, which wait_until() can't add to.
  while (!lookup->addresses) {
    call.check();
    lookup->done.wait_for(lock, call.stop, std::chrono::milliseconds(100),
                          [&] { return lookup->addresses.has_value(); });
  }
  Addresses found;
  for (const auto& address : *lookup->addresses) {
    if (std::find(found.begin(), found.end(), address) == found.end()) found.push_back(address);
  }
  if (found.empty()) throw Error(Code::kUnavailable, one_line(host) + ": " + lookup->failure);
  return found;
}

}  // namespace

Poco::Net::StreamSocket connect_tcp(const std::string& host, uint16_t port, Call::Clock::duration patience,
                                    const Call& call) {
  std::string failure;
  for (const auto& address : resolve(host, call)) {
    const auto give_up = Call::Clock::now() + patience;
    Poco::Net::StreamSocket socket;
    try {
      socket.connectNB(Poco::Net::SocketAddress(address, port));
      const auto step = Poco::Timespan(0, 50'000);
      while (!socket.poll(step, Poco::Net::Socket::SELECT_WRITE | Poco::Net::Socket::SELECT_ERROR)) {
        call.check();
        if (Call::Clock::now() >= give_up) throw Poco::TimeoutException("no answer in time");
      }
      if (const int error = socket.impl()->socketError(); error != 0) {
        throw Poco::Net::NetException(error == ECONNREFUSED ? "connection refused"
                                                            : std::generic_category().message(error));
      }
      socket.setBlocking(true);
      socket.setNoDelay(true);
      return socket;
    } catch (const Poco::Exception& error) {
      failure = one_line(error.message().empty() ? error.displayText() : error.message());
    }
  }
  throw Error(Code::kUnavailable, one_line(host) + ":" + std::to_string(port) + ": " + failure);
}

}  // namespace ipcs::oci
