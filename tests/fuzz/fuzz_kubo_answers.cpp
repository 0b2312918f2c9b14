// Fuzzes what a Kubo may answer, HTTP included: an answer means the same however it is framed, one that is cut off is never
// taken for a whole one, and every complaint is one line.
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "ipcs/error.hpp"
#include "kubo/rpc.hpp"

namespace {

using namespace ipcs;

void require(bool condition) {
  if (!condition) std::abort();
}

// Answers one request for each connection with `answer`, whatever is asked. One client at a time.
class Peer {
 public:
  Peer() : directory_((std::filesystem::temp_directory_path() / "ipcs-fuzz-XXXXXX").string()) {
    require(::mkdtemp(directory_.data()) != nullptr);
    path = directory_ + "/kubo.sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    require(path.size() < sizeof address.sun_path);
    path.copy(address.sun_path, path.size());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    require(::listen(listener_, 16) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Peer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
  }

  std::string path;
  std::string answer;  // set before a request is sent

 private:
  void serve() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      if (hear(fd)) {
        for (size_t sent = 0; sent < answer.size();) {
          const ssize_t count = ::send(fd, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
          if (count <= 0) break;
          sent += static_cast<size_t>(count);
        }
      }
      ::close(fd);
    }
  }
  // Reads a request: what is left unread would take the answer's place with an error.
  static bool hear(int fd) {
    std::string request;
    std::array<char, 4096> piece;
    size_t whole = SIZE_MAX;
    while (request.size() < whole) {
      const ssize_t count = ::recv(fd, piece.data(), piece.size(), 0);
      if (count <= 0) return false;
      request.append(piece.data(), static_cast<size_t>(count));
      const size_t end = request.find("\r\n\r\n");
      if (whole != SIZE_MAX || end == std::string::npos) continue;
      const size_t length = request.find("Content-Length: ");
      require(length < end);
      whole = end + 4 + std::stoull(request.substr(length + 16));
    }
    return true;
  }

  std::string directory_;
  int listener_ = -1;
  std::thread thread_;
};

std::string text_of(const ipld::Bytes& bytes) { return {bytes.begin(), bytes.end()}; }

constexpr uint8_t kCommands = 15;

// What a command makes of an answer, as text.
std::string outcome(kubo::Rpc& rpc, const plugin::Call& call, uint8_t command) {
  static const ipld::Cid kCid = ipld::Cid::parse("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
  const auto shown = [](const kubo::Entry& e) {
    return e.name + "," + std::to_string(e.size) + (e.directory ? "/" : ",") + (e.cid ? e.cid->to_string() : "-");
  };
  switch (command % kCommands) {
    case 0:
      return rpc.version(call);
    case 1: {
      const auto syncs = rpc.syncs(call);
      return syncs ? *syncs ? "yes" : "no" : "unknown";
    }
    case 2: {
      const auto stat = rpc.repo_stat(call);
      return std::to_string(stat.used) + " of " + std::to_string(stat.maximum);
    }
    case 3:
      return text_of(rpc.block_get(call, kCid, kubo::Reach::kLocal));
    case 4:
      return rpc.block_has(call, kCid) ? "has" : "lacks";
    case 5: {
      const std::array<uint8_t, 3> car{1, 2, 3};
      rpc.dag_import(call, {car}, true);
      return "imported";
    }
    case 6:
      return rpc.dag_export(call, kCid, kubo::Reach::kNetwork).text(call, 1 << 20);
    case 7:
      rpc.unpin(call, kCid);
      return "unpinned";
    case 8:
      return rpc.is_pinned(call, kCid) ? "pinned" : "not pinned";
    case 9:
      rpc.mfs_link(call, kCid, "/a");
      return "linked";
    case 10: {
      const auto entry = rpc.mfs_stat(call, "/a");
      return entry ? shown(*entry) : "nothing";
    }
    case 11: {
      std::string all;
      for (const auto& entry : rpc.mfs_list(call, "/a")) all += shown(entry) + ";";
      return all;
    }
    case 12:
      return rpc.mfs_remove(call, "/a") ? "removed" : "nothing";
    case 14: {
      std::string all;
      for (const ipld::Cid& cid : rpc.pins(call)) all += cid.to_string() + ";";
      return all;
    }
    default:
      return rpc.mfs_read(call, "/a", 100).value_or("nothing");
  }
}

struct Outcome {
  std::string text;
  bool failed = false;
  bool operator==(const Outcome&) const = default;
};

Outcome ask(uint8_t command, std::string answer) {
  static Peer peer;
  peer.answer = std::move(answer);
  kubo::Address address;
  address.kind = kubo::Address::Kind::kUnix;
  address.path = peer.path;
  address.shown = "here";
  kubo::Rpc rpc({address, "", std::chrono::seconds(8), 4});
  kubo::OwnCall own;
  try {
    return {outcome(rpc, own.call(), command), false};
  } catch (const Error& e) {
    const std::string_view message = e.what();
    require(message.starts_with("Kubo at here: ") && message.size() < 1000);
    for (const char c : message) require(static_cast<unsigned char>(c) >= ' ' && c != 127);
    require(e.code() != Code::kUnavailable && e.code() != Code::kOk);
    return {std::string(message), true};
  }
}

std::string chunks_of(const std::string& body, size_t size) {
  std::string text;
  for (size_t at = 0; at < body.size(); at += size) {
    const std::string piece = body.substr(at, size);
    constexpr const char* kDigits = "0123456789abcdef";
    text += std::string{kDigits[piece.size() >> 4], kDigits[piece.size() & 15]} + "\r\n" + piece + "\r\n";
  }
  return text + "0\r\n\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t command = data[0], mode = data[1];
  const std::string rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (mode % 4 == 0) {
    ask(command, rest);  // an answer from its first byte on
    return 0;
  }
  const std::string head =
      mode % 4 == 1 ? "HTTP/1.1 500 Internal Server Error\r\n" : "HTTP/1.1 200 OK\r\n";
  const std::string length = head + "Content-Length: " + std::to_string(rest.size());
  const Outcome whole = ask(command, length + "\r\n\r\n" + rest);
  require(ask(command, head + "Transfer-Encoding: chunked\r\n\r\n" + chunks_of(rest, 1 + mode / 4)) == whole);
  require(ask(command, head + "Connection: close\r\n\r\n" + rest) == whole);
  if (mode % 4 != 1) {
    require(ask(command, length + "0\r\n\r\n" + rest).failed || rest.empty());
    const std::string cut = chunks_of(rest, 1 + mode / 4);
    require(ask(command, head + "Transfer-Encoding: chunked\r\n\r\n" + cut.substr(0, cut.size() - 2)).failed);
  }
  return 0;
}
