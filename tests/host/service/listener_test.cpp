// The listening socket of our own: shortages, silence, exact reasons.
#include "service/listener.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
using namespace std::chrono_literals;
using service::Endpoint;
using service::Listener;
namespace api = containerd::services::content::v1;

namespace {

// A client's end of a connection, made before it is needed.
class Peer {
 public:
  Peer() : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) { REQUIRE(fd_ >= 0); }
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;

  bool connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  void send(std::string_view text) { REQUIRE(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == ssize_t(text.size())); }
  // Whether the other end says something or goes within that time.
  bool hears(std::chrono::milliseconds limit) {
    pollfd event{fd_, POLLIN, 0};
    return ::poll(&event, 1, static_cast<int>(limit.count())) == 1;
  }
  bool closed() {
    char byte;
    return ::recv(fd_, &byte, 1, MSG_DONTWAIT) == 0;
  }

 private:
  const int fd_;
};

// Leaves no descriptor to this process, at a soft limit that is near.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit near{128, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &near) == 0);
    for (int fd = ::dup(STDERR_FILENO); fd >= 0; fd = ::dup(STDERR_FILENO)) taken_.push_back(fd);
  }
  ~NoDescriptors() {
    free(taken_.size());
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  // Gives back those with the highest numbers.
  void free(size_t count) {
    for (; count > 0 && !taken_.empty(); --count, taken_.pop_back()) ::close(taken_.back());
  }
  size_t count() const { return taken_.size(); }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

// What an HTTP/2 client says first: the preface and an empty SETTINGS frame.
constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);

}  // namespace

TEST_CASE("a server that has run out of descriptors answers again when there are some") {
  Daemon daemon;
  Peer peer;
  {
    NoDescriptors none;
    REQUIRE(none.count() > 64);
    REQUIRE(peer.connect(daemon.socket));
    peer.send(kPreface);
    CHECK_FALSE(peer.hears(300ms));
    none.free(4);  // a few are the catalog's
    CHECK_FALSE(peer.hears(300ms));
    none.free(40);
    CHECK(peer.hears(10s));
  }
  grpc::ClientContext context;
  api::InfoRequest request;
  api::InfoResponse response;
  request.set_digest(digest_of("nothing").to_string());
  CHECK(daemon.stub->Info(&context, request, &response).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("blobs and ingests leave descriptors to others, and cached blobs go first") {
  World world;
  const oci::Digest digest = world.put(world.a, "foo");
  const auto cached = std::weak_ptr(world.content->open(world.call, digest));
  REQUIRE_FALSE(cached.expired());
  NoDescriptors none;
  none.free(20);  // of the 32 that are kept
  const Code code = code_of([&] { world.content->open_writer(world.call, world.a, "r", 0, {}); });
  CHECK(code == Code::kResourceExhausted);
  CHECK(cached.expired());
  CHECK(code_of([&] { world.content->open(world.call, digest); }) == Code::kResourceExhausted);
  none.free(20);
  CHECK(world.read(digest) == "foo");
  world.content->open_writer(world.call, world.a, "r", 0, {});  // the refused one has not kept the ref
}

TEST_CASE("a connection that says nothing is closed after a while, one that speaks is handed over") {
  TempDir dir;
  std::atomic<int> taken{-1};
  Listener listener(Endpoint{dir / "s", {}, {}, 0600}, log::Log::none(), 300ms);
  listener.start([&](int fd) { taken = fd; });
  Peer silent, speaking;
  REQUIRE(silent.connect(dir / "s"));
  REQUIRE(speaking.connect(dir / "s"));
  speaking.send("x");
  REQUIRE(silent.hears(10s));
  CHECK(silent.closed());
  REQUIRE(taken >= 0);
  CHECK((::fcntl(taken, F_GETFL) & O_NONBLOCK) != 0);
  // An answer of 1 MiB fits: the kernel counts as much again for what it needs itself.
  int room = 0;
  socklen_t size = sizeof room;
  REQUIRE(::getsockopt(taken, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0);
  int most = 1 << 20;  // that this user may have
  if (::geteuid() != 0) std::ifstream("/proc/sys/net/core/wmem_max") >> most;
  CHECK(room >= 2 * std::min(most, 1 << 20));
  CHECK_FALSE(speaking.hears(0ms));
  ::close(taken);
}

TEST_CASE("a listener that stops lets nobody in, closes who has not spoken and keeps its lock") {
  TempDir dir;
  const Endpoint endpoint{dir / "s", {}, {}, 0600};
  Peer silent, late;
  {
    Listener listener(endpoint, log::Log::none());
    listener.start([](int fd) { ::close(fd); });
    REQUIRE(silent.connect(dir / "s"));
    listener.stop();
    CHECK(silent.hears(10s));
    CHECK_FALSE(late.connect(dir / "s"));
    CHECK_FALSE(std::filesystem::exists(dir / "s"));
    CHECK(code_of([&] { Listener(endpoint, log::Log::none()); }) == Code::kFailedPrecondition);
  }
  CHECK(code_of([&] { Listener(endpoint, log::Log::none()); }) == Code::kOk);
}

TEST_CASE("why a socket can't be bound is said exactly") {
  TempDir dir;
  const auto message = [](const std::string& path) {
    try {
      Listener(Endpoint{path, {}, {}, 0600}, log::Log::none());
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::string base = dir / "";
  const std::string longest = base + std::string(107 - base.size(), 'x');
  CHECK(message(longest) == "");
  CHECK(message(longest + "x") == "socket " + longest + "x: the path has 108 bytes, a socket's can have 107");
  CHECK_FALSE(std::filesystem::exists(longest + "x.lock"));
}
