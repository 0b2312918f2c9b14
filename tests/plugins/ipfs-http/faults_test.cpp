// A real Kubo behind a relay that spoils some of its answers: nothing is acknowledged that is not in Kubo.
#include "fake_kubo.hpp"
#include "world.hpp"

namespace ipcs::ipfs_http::test {
namespace {

// What Kubo at `address` ("/ip4/127.0.0.1/tcp/PORT") answers, as it comes until the connection ends.
std::string ask(const std::string& address, const FakeRequest& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind('/') + 1))));
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
    const std::string text = request.head + "Connection: close\r\n\r\n" + request.content;
    for (size_t done = 0; done < text.size();) {
      const ssize_t count = ::send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    char piece[65536];
    for (ssize_t count = 0; (count = ::recv(fd, piece, sizeof piece, 0)) > 0;) answer.append(piece, static_cast<size_t>(count));
  }
  ::close(fd);
  return answer;
}

// What becomes of one command's answers while `on`.
struct Fault {
  const char* what;
  const char* command;
  std::function<std::string(const std::string& address, const FakeRequest&)> answer;
  Code code;
};

std::string refusal(const std::string& message) {
  return FakeKubo::plain("{\"Message\":\"" + message + "\",\"Code\":0,\"Type\":\"error\"}", "500 Internal Server Error");
}

const Fault kFaults[] = {
    {"no room for blocks", "dag/import", [](auto&, auto&) { return refusal("write /blocks/x: no space left on device"); }, Code::kResourceExhausted},
    {"no room for the name", "files/cp", [](auto&, auto&) { return refusal("write /datastore/x: no space left on device"); }, Code::kResourceExhausted},
    {"garbage for an import", "dag/import", [](auto&, auto&) { return FakeKubo::plain("\x01\x02garbage"); }, Code::kInternal},
    {"an import without its end", "dag/import", [](auto&, auto&) { return FakeKubo::chunked(""); }, Code::kInternal},
    {"an import whose pin failed", "dag/import",
     [](auto&, auto&) { return FakeKubo::chunked("{\"Root\":{\"Cid\":{\"/\":\"Qm\"},\"PinErrorMsg\":\"block was not found locally\"}}\n{\"Stats\":{\"BlockCount\":1}}\n"); },
     Code::kNotFound},
    {"an answer cut off, of an import that was made", "dag/import",
     [](const std::string& address, const FakeRequest& request) {
       const std::string answer = ask(address, request);
       return answer.substr(0, answer.find("\r\n\r\n") + 8);
     },
     Code::kFailedPrecondition},
    {"an answer cut off, of a name that was made", "files/cp",
     [](const std::string& address, const FakeRequest& request) {
       const std::string answer = ask(address, request);
       return answer.substr(0, answer.find("\r\n\r\n"));
     },
     Code::kFailedPrecondition},
};

}  // namespace

TEST_CASE("what Kubo did not take is not acknowledged, and a second try succeeds") {
  RunningKubo& kubo = shared_kubo();
  const std::string address = kubo.address();
  std::atomic<const Fault*> fault{nullptr};
  const FakeKubo relay([&](const FakeRequest& request) {
    const Fault* now = fault;
    if (now != nullptr && request.target.find(std::string("/") + now->command) != std::string::npos) return now->answer(address, request);
    return ask(address, request);
  });
  World world(kubo, relay.address());
  uint32_t seed = 400;
  for (const Fault& spoiled : kFaults) {
    for (const size_t size : {100'000u, 20'000'000u}) {
      INFO(spoiled.what << ", " << size << " bytes");
      const Bytes bytes = some_bytes(size, ++seed);
      const std::string digest = digest_of(bytes);
      fault = &spoiled;
      Ingest ingest = world.ingest(bytes);
      const Error error = error_of([&] { ingest.commit(world.call, size, digest, digest); });
      INFO(error.what());
      CHECK(error.code() == spoiled.code);
      CHECK_FALSE(world.store->stat_blob(world.call, digest));
      CHECK(ingest.size() == size);
      fault = nullptr;
      ingest.commit(world.call, size, digest, digest);
      world.collect_garbage();
      CHECK(world.read(digest) == bytes);
    }
  }
  CHECK(world.eventually([&] {
    const Repairer::Observer nobody{[](const Difference&) {}, [](const RepairProgress&) {}};
    return Repairer::of(*world.store)->repair(world.call, true, nobody).pending == 0;
  }));
}

}  // namespace ipcs::ipfs_http::test
