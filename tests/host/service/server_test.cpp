// The listening socket: who may have it, its mode, its end.
#include "service/server.hpp"

#include <grpc/health/v1/health.grpc.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
using namespace std::chrono_literals;
using service::Endpoint;
using service::Server;
namespace api = containerd::services::content::v1;

namespace {

// A server that answers nothing but health checks.
std::unique_ptr<Server> start(const Endpoint& endpoint) {
  static service::Lanes lanes;
  return Server::start(endpoint, {}, lanes, log::Log::none());
}

std::unique_ptr<Server> start(const std::string& path) { return start(Endpoint{path, {}, {}, 0660}); }

// grpc.health.v1.Health/Check in raw bytes: the request is empty, SERVING is field 1 with the value 1.
std::string health(const std::string& socket) {
  grpc::GenericStub stub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 10s);
  const grpc::Slice empty("");
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  // On a queue of its own: gRPC's callbacks run on threads that the thread sanitizer can't follow.
  grpc::CompletionQueue queue;
  const auto reader = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  reader->StartCall();
  grpc::Status status;
  reader->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  if (!queue.Next(&tag, &ok) || !ok) return "error: no answer";
  if (!status.ok()) return "error: " + status.error_message();
  grpc::Slice slice;
  if (!response.TrySingleSlice(&slice).ok()) return "error: several slices";
  return std::string(slice.begin(), slice.end());
}

const std::string kServing = "\x08\x01";

// A socket file behind which nobody listens any more.
void leave_stale_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(fd >= 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(fd);
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  REQUIRE(S_ISSOCK(info.st_mode));
  return info.st_mode & 07777;
}

std::string message_of(const std::string& path) {
  try {
    start(path);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("health of one service, of an unknown one, and its end for a watcher") {
  using grpc::health::v1::HealthCheckResponse;
  Daemon daemon;
  const auto stub = grpc::health::v1::Health::NewStub(daemon.channel);
  grpc::health::v1::HealthCheckRequest request;
  HealthCheckResponse response;
  request.set_service("containerd.services.content.v1.Content");
  {
    grpc::ClientContext context;
    REQUIRE(stub->Check(&context, request, &response).ok());
    CHECK(response.status() == HealthCheckResponse::SERVING);
  }
  {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest unknown;
    unknown.set_service("nothing.of.ours");
    CHECK(stub->Check(&context, unknown, &response).error_code() == grpc::StatusCode::NOT_FOUND);
  }
  {
    grpc::ClientContext context;  // a watcher that goes away takes nothing along
    const auto watch = stub->Watch(&context, request);
    REQUIRE(watch->Read(&response));
    context.TryCancel();
    CHECK(watch->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, request);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVING);
  const auto begin = std::chrono::steady_clock::now();
  daemon.server->stop(std::chrono::steady_clock::now() + 20s);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);  // the watcher does not keep the server
  if (watch->Read(&response)) CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
}

TEST_CASE("watchers of health take no thread, and one connection not all of them") {
  using grpc::health::v1::HealthCheckResponse;
  Daemon daemon;
  const auto stub = grpc::health::v1::Health::NewStub(daemon.channel);
  const auto threads = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
  };
  const auto before = threads();
  struct Watcher {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> stream;
  };
  std::vector<std::unique_ptr<Watcher>> watchers;
  HealthCheckResponse response;
  const auto watch = [&] {
    auto watcher = std::make_unique<Watcher>();
    watcher->context.set_deadline(std::chrono::system_clock::now() + 30s);
    watcher->stream = stub->Watch(&watcher->context, {});
    REQUIRE(watcher->stream->Read(&response));
    watchers.push_back(std::move(watcher));
  };
  while (watchers.size() < 1999) watch();
  CHECK(threads() < before + 100);
  CHECK(health(daemon.socket) == kServing);
  watch();
  {
    grpc::ClientContext context;  // waits for a stream to end
    context.set_deadline(std::chrono::system_clock::now() + 200ms);
    CHECK(stub->Check(&context, {}, &response).error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  watchers.front()->context.TryCancel();
  CHECK(watchers.front()->stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    CHECK(stub->Check(&context, {}, &response).ok());
  }
  daemon.server->stop(std::chrono::steady_clock::now() + 20s);
  REQUIRE(watchers.back()->stream->Read(&response));
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
}

TEST_CASE("grpc.health.v1 says SERVING") {
  TempDir dir;
  const auto server = start(dir / "s");
  CHECK(health(dir / "s") == kServing);
}

TEST_CASE("a socket has one server; the second is refused and does no harm") {
  TempDir dir;
  const std::string path = dir / "s";
  auto first = start(path);
  CHECK(code_of([&] { start(path); }) == Code::kFailedPrecondition);
  CHECK_THAT(message_of(path), Catch::Contains(path));
  CHECK(health(path) == kServing);
  first.reset();
  CHECK_FALSE(std::filesystem::exists(path));
  const auto next = start(path);
  CHECK(health(path) == kServing);
}

TEST_CASE("a socket that a dead server left is replaced") {
  TempDir dir;
  leave_stale_socket(dir / "s");
  const auto server = start(dir / "s");
  CHECK(health(dir / "s") == kServing);
}

TEST_CASE("what is no socket is not touched") {
  TempDir dir;
  const std::string path = dir / "s";
  SECTION("a file") { std::ofstream(path) << "precious"; }
  SECTION("a directory") { std::filesystem::create_directory(path); }
  SECTION("a symbolic link") {
    std::ofstream(dir / "target") << "precious";
    std::filesystem::create_symlink(dir / "target", path);
  }
  const auto type = std::filesystem::symlink_status(path).type();
  CHECK(code_of([&] { start(path); }) == Code::kInvalidArgument);
  CHECK_THAT(message_of(path), Catch::Contains(path));
  CHECK(std::filesystem::symlink_status(path).type() == type);
  if (type != std::filesystem::file_type::directory) {
    std::string text;
    std::ifstream(path) >> text;
    CHECK(text == "precious");
  }
}

TEST_CASE("a lock file that is a link to elsewhere is refused") {
  TempDir dir;
  std::filesystem::create_symlink(dir / "elsewhere", dir / "s.lock");
  CHECK(code_of([&] { start(dir / "s"); }) == Code::kInvalidArgument);
  CHECK_FALSE(std::filesystem::exists(dir / "elsewhere"));
}

TEST_CASE("a socket has the configured mode and owner, and the umask is as before") {
  TempDir dir;
  const mode_t before = ::umask(022);
  for (const mode_t mode : {mode_t{0600}, mode_t{0660}, mode_t{0666}, mode_t{0}}) {
    const auto server = start(Endpoint{dir / "s", ::geteuid(), ::getegid(), mode});
    CHECK(mode_of(dir / "s") == mode);
  }
  CHECK(::umask(before) == 022);
}

TEST_CASE("a path that can't be bound is named") {
  TempDir dir;
  const std::string too_long = dir / std::string(120, 'x');
  CHECK(code_of([&] { start(too_long); }) == Code::kInvalidArgument);
  CHECK_THAT(message_of(too_long), Catch::Contains(too_long));
  std::ofstream(dir / "file") << "x";
  CHECK(code_of([&] { start(dir / "file/s"); }) == Code::kInvalidArgument);
}

TEST_CASE("the directory of a socket is made, and a relative path is allowed") {
  TempDir dir;
  { const auto server = start(dir / "a/b/s"); CHECK(health(dir / "a/b/s") == kServing); }
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(dir / ".");
  { const auto server = start("s"); CHECK(std::filesystem::exists(dir / "s")); }
  std::filesystem::current_path(before);
}

TEST_CASE("stop ends an idle write stream within its deadline, and the ingest can be resumed") {
  Daemon daemon;
  grpc::ClientContext context;
  const auto stream = daemon.stub->Write(&context);
  api::WriteContentRequest request;
  api::WriteContentResponse response;
  request.set_action(api::WRITE);
  request.set_ref("r");
  request.set_data("foo");
  REQUIRE(stream->Write(request));
  REQUIRE(stream->Read(&response));
  REQUIRE(response.offset() == 3);
  const auto begin = std::chrono::steady_clock::now();
  daemon.server->stop(std::chrono::steady_clock::now() + 300ms);
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= 250ms);  // it was given its time
  CHECK(took < 10s);
  CHECK_FALSE(stream->Read(&response));
  CHECK_FALSE(stream->Finish().ok());
  CHECK_FALSE(std::filesystem::exists(daemon.socket));
  content::Writer writer = daemon.world.content->open_writer(daemon.world.call, daemon.world.a, "r", 0, {});
  CHECK(writer.status().offset == 3);
  CHECK(writer.digest() == digest_of("foo"));
}

TEST_CASE("stop lets a commit that is under way finish") {
  Daemon daemon;
  Gate& disk = daemon.world.memory->commit_gate;
  disk.close();
  auto client = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    const auto stream = daemon.stub->Write(&context);
    api::WriteContentRequest request;
    request.set_action(api::COMMIT);
    request.set_ref("r");
    request.set_data("foo");
    stream->Write(request);
    api::WriteContentResponse response;
    stream->Read(&response);
    return std::pair(stream->Finish().error_code(), response.digest());
  });
  REQUIRE(disk.wait_for(1));
  std::thread stopper([&] { daemon.server->stop(std::chrono::steady_clock::now() + 20s); });
  std::this_thread::sleep_for(100ms);
  disk.open();
  stopper.join();
  const auto [code, digest] = client.get();
  // The answer is sent before the connection closes, but gRPC's client may find the connection closed while it still has
  // something to send itself, and then drops what it has received. The commit itself must be there.
  CHECK((code == grpc::StatusCode::OK || code == grpc::StatusCode::UNAVAILABLE));
  if (code == grpc::StatusCode::OK) CHECK(digest == digest_of("foo").to_string());
  CHECK(daemon.world.content->info(daemon.world.call, daemon.world.a, digest_of("foo")).size == 3);
}
