// ipcs.v1.Dag over a socket, in front of a backend that offers everything and of one that offers nothing.
#include "service/dag_service.hpp"

#include <thread>

#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
using namespace std::chrono_literals;
using oci::Digest;

namespace {

const Digest kRoot = digest_of("the root of a blob");
constexpr const char* kCid = "QmRJzsvyCQyizr73Gmms8ZRtvNxmgqumxc2KUp71dfEmoj";

struct Blocks : plugin::BlockCursor {
  std::vector<plugin::BlockEntry> next(const plugin::Call&, size_t capacity) override {
    std::vector<plugin::BlockEntry> page;
    for (; at < 1000 && page.size() < capacity; ++at) page.push_back({kCid, at, 2 * at, 3 * at, at % 2 == 1, at % 3 == 0});
    return page;
  }
  size_t at = 0;
};

struct Export : plugin::CarExport {
  explicit Export(size_t s) : left(s) {}
  size_t read(const plugin::Call&, std::span<uint8_t> out) override {
    const size_t count = std::min(left, out.size());
    std::fill_n(out.begin(), count, uint8_t{'c'});
    left -= count;
    return count;
  }
  size_t left;
};

struct Import : plugin::CarImport {
  explicit Import(std::atomic<int>& o) : open(o) { ++open; }
  ~Import() override { --open; }
  void append(const plugin::Call&, std::span<const uint8_t> bytes) override { size += bytes.size(); }
  std::vector<std::string> finish(const plugin::Call&) override { return {"size-" + std::to_string(size), kCid}; }
  size_t size = 0;
  std::atomic<int>& open;
};

std::atomic<int> open_imports{0};
std::atomic<bool> forget_adopted{false};  // once: as if somebody had deleted it at once

class DagStore final : public memory::Store,
                       public plugin::BlockLister,
                       public plugin::Adopter,
                       public plugin::CarExchange,
                       public plugin::Prefetcher {
 public:
  using memory::Store::Store;
  const void* extension(std::string_view id) noexcept override { return plugin::extension_of<DagStore>(id); }

  std::unique_ptr<plugin::BlockCursor> list_blocks(const plugin::Call& call, std::string_view digest) override {
    stat_blob(call, digest);
    return std::make_unique<Blocks>();
  }
  plugin::Adopted adopt_blob(const plugin::Call& call, std::string_view digest, std::string_view chunker,
                             std::string_view profile) override {
    if (chunker == "bad") throw Error(Code::kInvalidArgument, "chunker \"bad\": unknown");
    stat_blob(call, digest);
    memory_->enter("adopt_blob", call);
    const std::lock_guard lock(memory_->mutex);
    if (!forget_adopted.exchange(false))
      memory_->blobs[kRoot.to_string()] = {memory_->blobs.at(std::string(digest)).bytes, 1, true};
    return {kRoot.to_string(), std::string(chunker) + "/" + std::string(profile), 4, 1, 12};
  }
  plugin::Adopted adopt_cid(const plugin::Call& call, std::string_view cid, std::string_view digest,
                            uint64_t expected_size) override {
    memory_->enter("adopt_cid", call);
    const std::lock_guard lock(memory_->mutex);
    const std::string name = digest.empty() ? kRoot.to_string() : std::string(digest);
    memory_->blobs[name] = {std::make_shared<const Bytes>(expected_size), 1, digest.empty()};
    return {name, std::string(cid), expected_size, 0, 0};
  }
  std::unique_ptr<plugin::CarExport> open_export(const plugin::Call&,
                                                 std::span<const std::string_view> roots) override {
    return std::make_unique<Export>(roots.size() * 3'000'000);
  }
  std::unique_ptr<plugin::CarImport> open_import(const plugin::Call&) override {
    return std::make_unique<Import>(open_imports);
  }
  void prefetch(const plugin::Call& call, std::string_view digest, uint64_t, uint64_t size) override {
    stat_blob(call, digest);
    memory_->enter("prefetch", call);
    for (uint64_t done = 0; done <= size; ++done) Call::report(call.abi(), digest, done, size);
  }
};

struct DagDaemon {
  explicit DagDaemon(bool offers = true) {
    if (offers) {
      world.content.reset();
      world.store = std::make_unique<Store>(open_memory_store<DagStore>(world.memory));
      world.start();
    }
    service = std::make_unique<service::DagService>(*world.content, log::Log::none());
    server = service::Server::start({world.dir / "control.sock", {}, {}, 0600}, {{}, {service.get()}}, lanes,
                                    log::Log::none());
    stub = v1::Dag::NewStub(grpc::CreateChannel("unix:" + world.dir / "control.sock", grpc::InsecureChannelCredentials()));
  }

  ~DagDaemon() { world.memory->set_on_call({}); }

  // `body` runs in the backend's `function`.
  void in(const char* function, std::function<void(const plugin::Call&)> body) {
    world.memory->set_on_call([function, body = std::move(body)](const char* called, const plugin::Call& call) {
      if (function == std::string(called)) body(call);
    });
  }

  World world;
  std::unique_ptr<service::DagService> service;
  service::Lanes lanes;
  std::unique_ptr<service::Server> server;
  std::unique_ptr<v1::Dag::Stub> stub;
  grpc::ClientContext context;
};

// A stream of progress to its end.
template <class Response>
struct Told {
  template <class Stream>
  explicit Told(const Stream& stream, const std::function<void(const Response&)>& on_message = {}) {
    while (stream->Read(&last)) {
      ++messages;
      if (on_message) on_message(last);
    }
    status = stream->Finish();
  }
  Response last;
  int messages = 0;
  grpc::Status status;
};
using Adoption = Told<v1::AdoptResponse>;

void wait_for(const std::atomic<bool>& flag, const plugin::Call& call) {
  for (; !flag; std::this_thread::sleep_for(1ms)) call.check();
}
void hang_until_cancelled(const plugin::Call& call) { wait_for(false, call); }

}  // namespace

TEST_CASE("a backend without features says so in one line") {
  DagDaemon d(false);
  v1::FeaturesResponse features;
  REQUIRE(d.stub->Features(&d.context, {}, &features).ok());
  CHECK(features.features_size() == 0);
  CHECK(features.backend() == "memory");

  grpc::ClientContext context;
  v1::LocateRequest request;
  request.set_digest(kRoot.to_string());
  v1::LocateResponse response;
  const grpc::Status status = d.stub->Locate(&context, request, &response);
  CHECK(status.error_code() == grpc::StatusCode::UNIMPLEMENTED);
  CHECK(status.error_message() ==
        "the backend \"memory\" does not offer ipcs.locate/1: its blobs are no DAGs of blocks");
}

TEST_CASE("the features that there are, and where a blob is") {
  DagDaemon d;
  v1::FeaturesResponse features;
  REQUIRE(d.stub->Features(&d.context, {}, &features).ok());
  CHECK(features.features_size() == 5);

  const Digest digest = d.world.put(d.world.a, "blob");
  grpc::ClientContext context, other;
  v1::LocateRequest request;
  v1::LocateResponse response;
  request.set_digest(digest.to_string());
  REQUIRE(d.stub->Locate(&context, request, &response).ok());
  CHECK(response.cid() == "cid-of-" + digest.to_string());
  request.set_digest(kRoot.to_string());
  CHECK(d.stub->Locate(&other, request, &response).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("blocks come in pages") {
  DagDaemon d;
  v1::ListBlocksRequest request;
  request.set_digest(d.world.put(d.world.a, "blob").to_string());
  const auto stream = d.stub->ListBlocks(&d.context, request);
  v1::ListBlocksResponse page;
  uint64_t count = 0;
  while (stream->Read(&page)) {
    for (const v1::Block& block : page.blocks()) {
      REQUIRE((block.size() == count && block.offset() == 2 * count && block.length() == 3 * count));
      REQUIRE((block.leaf() == (count % 2 == 1) && block.local() == (count % 3 == 0)));
      ++count;
    }
  }
  CHECK(stream->Finish().ok());
  CHECK(count == 1000);
}

TEST_CASE("what is adopted is pinned") {
  DagDaemon d;
  v1::AdoptBlobRequest request;
  request.set_digest(d.world.put(d.world.a, "blob").to_string());
  request.set_chunker("size-1024");
  request.set_note("convert");
  forget_adopted = GENERATE(false, true);
  const Adoption blob(d.stub->AdoptBlob(&d.context, request));
  REQUIRE(blob.status.ok());
  const v1::AdoptResponse& response = blob.last;
  CHECK(response.finished());
  CHECK(response.digest() == kRoot.to_string());
  CHECK(response.cid() == "size-1024/");
  CHECK(response.block_bytes() == 12);
  const auto pins = d.world.catalog->pins({}, 10);
  REQUIRE(pins.size() == 1);
  CHECK((pins[0].digest == kRoot && pins[0].note == "convert" && pins[0].size == 4));

  grpc::ClientContext bad;
  request.set_chunker("bad");
  CHECK(Adoption(d.stub->AdoptBlob(&bad, request)).status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);

  grpc::ClientContext by_cid;
  v1::AdoptCidRequest file;
  file.set_cid(kCid);
  file.set_digest(digest_of("zeros").to_string());
  file.set_expected_size(7);
  const Adoption by(d.stub->AdoptCid(&by_cid, file));
  REQUIRE(by.status.ok());
  CHECK((by.last.finished() && by.last.cid() == kCid && by.last.size() == 7));
  CHECK(d.world.catalog->pinned(digest_of("zeros")));
}

TEST_CASE("what is being adopted tells how far it is, whatever the backend says of it") {
  DagDaemon d;
  d.context.set_deadline(std::chrono::system_clock::now() + 30s);
  std::atomic<bool> seen{false};
  const auto tell = [&](const plugin::Call& call) {
    Call::report(call.abi(), "a name of its own", 400, 1000);
    wait_for(seen, call);
    std::vector<std::thread> threads;
    for (uint64_t number = 0; number < 2; ++number) {
      threads.emplace_back([&call, number] {
        for (uint64_t i = 0; i < 200'000; ++i) Call::report(call.abi(), "", (i * 7919) % 5000, number * 1000);  // back and beyond
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  uint64_t done = 0;
  const auto check = [&](const v1::AdoptResponse& message) {
    CHECK((message.done_bytes() >= done && message.total_bytes() == 1000 && message.done_bytes() <= 1000));
    if (done == 0) CHECK((message.done_bytes() == 400 && !message.finished() && message.digest().empty()));
    done = message.done_bytes();
    seen = true;
  };
  SECTION("from a blob") {
    d.in("adopt_blob", tell);
    v1::AdoptBlobRequest request;
    request.set_digest(d.world.put(d.world.a, "blob").to_string());
    const Adoption blob(d.stub->AdoptBlob(&d.context, request), check);
    CHECK(blob.status.ok());
    CHECK((blob.last.finished() && blob.last.digest() == kRoot.to_string() && blob.last.done_bytes() == 1000));
    CHECK((blob.messages >= 2 && blob.messages < 100));
  }
  SECTION("from a CID") {
    d.in("adopt_cid", tell);
    v1::AdoptCidRequest request;
    request.set_cid(kCid);
    const Adoption blob(d.stub->AdoptCid(&d.context, request), check);
    CHECK(blob.status.ok());
    CHECK((blob.last.finished() && blob.last.cid() == kCid));
    CHECK((blob.messages >= 2 && blob.messages < 100));
  }
}

TEST_CASE("what is being adopted ends with its client, and is not pinned") {
  DagDaemon d;
  Gate begun;
  std::atomic<bool> ended{false};
  d.in("adopt_blob", [&](const plugin::Call& call) {
    begun.pass();
    try {
      hang_until_cancelled(call);
    } catch (const Error& e) {
      ended = e.code() == Code::kCancelled;
      throw;
    }
  });
  v1::AdoptBlobRequest request;
  request.set_digest(d.world.put(d.world.a, "blob").to_string());
  const auto stream = d.stub->AdoptBlob(&d.context, request);
  REQUIRE(begun.wait_for(1));
  d.context.TryCancel();
  CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  const auto stopping = std::chrono::steady_clock::now();
  d.server->stop(stopping + 30s);
  CHECK(std::chrono::steady_clock::now() - stopping < 20s);
  CHECK(ended);
  CHECK(d.world.catalog->pins({}, 10).empty());
}

TEST_CASE("a CAR leaves in pieces") {
  DagDaemon d;
  v1::ExportCarRequest request;
  request.add_roots("one");
  request.add_roots("two");
  const auto stream = d.stub->ExportCar(&d.context, request);
  v1::ExportCarResponse piece;
  size_t size = 0;
  while (stream->Read(&piece)) size += piece.data().size();
  CHECK(stream->Finish().ok());
  CHECK(size == 6'000'000);
}

TEST_CASE("a CAR comes in, and is held until the client has done with it") {
  DagDaemon d;
  const auto stream = d.stub->ImportCar(&d.context);
  v1::ImportCarRequest piece;
  piece.set_data(std::string(1000, 'c'));
  REQUIRE(stream->Write(piece));

  SECTION("to its end") {
    piece.set_end(true);
    REQUIRE(stream->Write(piece));
    v1::ImportCarResponse response;
    REQUIRE(stream->Read(&response));
    REQUIRE(response.roots_size() == 2);
    CHECK(response.roots(0) == "size-2000");
    CHECK(open_imports == 1);
    CHECK(stream->WritesDone());
    CHECK(stream->Finish().ok());
  }
  SECTION("cut") {
    CHECK(stream->WritesDone());
    CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  d.server->stop(std::chrono::steady_clock::now() + 5s);
  CHECK(open_imports == 0);
}

TEST_CASE("a prefetch tells how far it is, and ends with its client") {
  DagDaemon d;
  v1::PrefetchRequest request;
  request.set_digest(d.world.put(d.world.a, "blob").to_string());
  SECTION("to its end") {
    request.set_size(1000);
    d.context.set_deadline(std::chrono::system_clock::now() + 30s);
    std::atomic<bool> seen{false};
    d.in("prefetch", [&](const plugin::Call& call) {
      Call::report(call.abi(), "", 500, 1000);
      wait_for(seen, call);
    });
    const Told<v1::PrefetchResponse> told(d.stub->Prefetch(&d.context, request), [&](const v1::PrefetchResponse& message) {
      CHECK((message.done_bytes() >= 500 && message.total_bytes() == 1000));
      seen = true;
    });
    CHECK(told.status.ok());
    CHECK((told.last.finished() && told.last.done_bytes() == 1000 && told.last.total_bytes() == 1000));
    CHECK((told.messages >= 2 && told.messages < 100));
  }
  SECTION("the client goes") {
    d.in("prefetch", hang_until_cancelled);
    const auto stream = d.stub->Prefetch(&d.context, request);
    std::this_thread::sleep_for(100ms);
    d.context.TryCancel();
    CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
    const auto begun = std::chrono::steady_clock::now();
    d.server->stop(begun + 30s);
    CHECK(std::chrono::steady_clock::now() - begun < 20s);
  }
}
