// Each RPC of containerd's Content service through a real channel: codes, messages, deadlines and traces.
#include "service/content_service.hpp"

#include <fmt/format.h>

#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
using namespace std::chrono_literals;
using grpc::StatusCode;
namespace api = containerd::services::content::v1;

namespace {

const std::string kUnknown = "sha256:" + std::string(64, '0');
const std::vector<std::string> kMalformed{"", "foo", "sha256:", "sha256:abc", "md5:" + std::string(32, '0'),
                                          "sha256:" + std::string(64, 'A'), "sha256:../../../../etc/passwd",
                                          kUnknown + "\n"};

StatusCode info(Daemon& d, const std::string& digest, api::InfoResponse* response = nullptr) {
  grpc::ClientContext context;
  api::InfoRequest request;
  request.set_digest(digest);
  api::InfoResponse ignored;
  return d.stub->Info(&context, request, response != nullptr ? response : &ignored).error_code();
}

StatusCode remove(Daemon& d, const std::string& digest) {
  grpc::ClientContext context;
  api::DeleteContentRequest request;
  request.set_digest(digest);
  google::protobuf::Empty response;
  return d.stub->Delete(&context, request, &response).error_code();
}

StatusCode update(Daemon& d, const std::string& digest, const std::vector<std::string>& paths,
                  api::UpdateResponse* response = nullptr) {
  grpc::ClientContext context;
  api::UpdateRequest request;
  request.mutable_info()->set_digest(digest);
  (*request.mutable_info()->mutable_labels())["k"] = "v";
  for (const std::string& path : paths) request.mutable_update_mask()->add_paths(path);
  api::UpdateResponse ignored;
  return d.stub->Update(&context, request, response != nullptr ? response : &ignored).error_code();
}

struct Answer {
  StatusCode code = StatusCode::OK;
  std::string data;
  std::vector<size_t> sizes;
  std::vector<int64_t> offsets;
};

Answer read(Daemon& d, const std::string& digest, int64_t offset = 0, int64_t size = 0) {
  grpc::ClientContext context;
  api::ReadContentRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  request.set_size(size);
  const auto stream = d.stub->Read(&context, request);
  Answer answer;
  for (api::ReadContentResponse response; stream->Read(&response);) {
    answer.data += response.data();
    answer.sizes.push_back(response.data().size());
    answer.offsets.push_back(response.offset());
  }
  answer.code = stream->Finish().error_code();
  return answer;
}

// One message after the other, each answered; the code of the first failure.
struct WriteAnswer {
  StatusCode code = StatusCode::OK;
  std::string message;
  std::vector<api::WriteContentResponse> responses;
};

api::WriteContentRequest message(api::WriteAction action, const std::string& ref, int64_t offset = 0,
                                 const std::string& data = {}, const std::string& expected = {}, int64_t total = 0) {
  api::WriteContentRequest request;
  request.set_action(action);
  request.set_ref(ref);
  request.set_offset(offset);
  request.set_data(data);
  request.set_expected(expected);
  request.set_total(total);
  return request;
}

WriteAnswer write(Daemon& d, const std::vector<api::WriteContentRequest>& messages) {
  grpc::ClientContext context;
  const auto stream = d.stub->Write(&context);
  WriteAnswer answer;
  for (const auto& request : messages) {
    api::WriteContentResponse response;
    if (!stream->Write(request) || !stream->Read(&response)) break;
    answer.responses.push_back(response);
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  answer.code = status.error_code();
  answer.message = status.error_message();
  return answer;
}

StatusCode list(Daemon& d, const std::vector<std::string>& filters, std::vector<int>* sizes = nullptr) {
  grpc::ClientContext context;
  api::ListContentRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  const auto stream = d.stub->List(&context, request);
  for (api::ListContentResponse response; stream->Read(&response);) {
    if (sizes != nullptr) sizes->push_back(response.info_size());
    // GC deletes while the listing is open.
    for (const auto& blob : response.info()) CHECK(remove(d, blob.digest()) == StatusCode::OK);
  }
  return stream->Finish().error_code();
}

std::string random_text(size_t size) {
  std::string text(size, '\0');
  uint32_t x = 1;
  for (char& c : text) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return text;
}

}  // namespace

TEST_CASE("malformed digests are InvalidArgument") {
  Daemon d;
  for (const std::string& digest : kMalformed) {
    CAPTURE(digest);
    CHECK(info(d, digest) == StatusCode::INVALID_ARGUMENT);
    CHECK(remove(d, digest) == StatusCode::INVALID_ARGUMENT);
    CHECK(update(d, digest, {"labels"}) == StatusCode::INVALID_ARGUMENT);
    CHECK(read(d, digest).code == StatusCode::INVALID_ARGUMENT);
    if (digest.empty()) continue;  // says nothing
    CHECK(write(d, {message(api::STAT, "r", 0, {}, digest)}).code == StatusCode::INVALID_ARGUMENT);
    CHECK(write(d, {message(api::COMMIT, "r", 0, "x", digest)}).code == StatusCode::INVALID_ARGUMENT);
  }
}

TEST_CASE("an unknown digest is NotFound, its Delete OK") {
  Daemon d;
  CHECK(info(d, kUnknown) == StatusCode::NOT_FOUND);
  CHECK(read(d, kUnknown).code == StatusCode::NOT_FOUND);
  CHECK(read(d, kUnknown, 5, 10).code == StatusCode::NOT_FOUND);
  CHECK(update(d, kUnknown, {}) == StatusCode::NOT_FOUND);
  CHECK(remove(d, kUnknown) == StatusCode::OK);
}

TEST_CASE("an update without info, and of a field that can't be updated") {
  Daemon d;
  grpc::ClientContext context;
  api::UpdateResponse response;
  CHECK(d.stub->Update(&context, {}, &response).error_code() == StatusCode::INVALID_ARGUMENT);
  const std::string digest = d.world.put(d.world.a, "x").to_string();
  CHECK(update(d, digest, {"size"}) == StatusCode::INVALID_ARGUMENT);
  REQUIRE(update(d, digest, {"labels.k"}, &response) == StatusCode::OK);
  CHECK(response.info().labels().at("k") == "v");
  CHECK(response.info().digest() == digest);
}

TEST_CASE("Info gives size, labels and times, and makes the claim of the socket's client") {
  Daemon d;
  const content::Labels labels{{"k", "v"}};
  const auto digest = d.world.put(d.world.b, "12345", &labels);
  api::InfoResponse response;
  REQUIRE(info(d, digest.to_string(), &response) == StatusCode::OK);
  CHECK(response.info().size() == 5);
  CHECK(response.info().labels_size() == 0);  // those are b's
  CHECK(response.info().created_at().seconds() == 1);
  CHECK(response.info().updated_at().nanos() > 0);
  CHECK(d.world.catalog->claimants(digest) == Names{"a", "b"});
}

TEST_CASE("reads come in messages of 1 MiB whose offsets begin at 0") {
  Daemon d;
  const std::string text = random_text((2 << 20) + 1000);
  const std::string digest = d.world.put(d.world.a, text).to_string();
  Answer answer = read(d, digest);
  CHECK(answer.code == StatusCode::OK);
  CHECK(answer.data == text);
  CHECK(answer.sizes == std::vector<size_t>{1 << 20, 1 << 20, 1000});
  CHECK(answer.offsets == std::vector<int64_t>{0, 1 << 20, 2 << 20});
  answer = read(d, digest, 1000, (1 << 20) + 1);
  CHECK(answer.data == text.substr(1000, (1 << 20) + 1));
  CHECK(answer.sizes == std::vector<size_t>{1 << 20, 1});
  CHECK(answer.offsets == std::vector<int64_t>{0, 1 << 20});
}

TEST_CASE("ranges of a read") {
  Daemon d;
  const std::string digest = d.world.put(d.world.a, "0123456789").to_string();
  CHECK(read(d, digest, 0, -1).data == "0123456789");
  CHECK(read(d, digest, 3, 4).data == "3456");
  CHECK(read(d, digest, 8, 100).data == "89");
  CHECK(read(d, digest, 9, INT64_MAX).data == "9");
  CHECK(read(d, digest, 9, INT64_MIN).data == "9");
  const Answer at_end = read(d, digest, 10, 5);
  CHECK(at_end.code == StatusCode::OK);
  CHECK(at_end.sizes.empty());
  for (const int64_t offset : {int64_t{11}, INT64_MAX, int64_t{-1}, INT64_MIN}) {
    CHECK(read(d, digest, offset, 1).code == StatusCode::OUT_OF_RANGE);
  }
  const std::string empty = d.world.put(d.world.a, "").to_string();
  CHECK(read(d, empty).code == StatusCode::OK);
  CHECK(read(d, empty, 1).code == StatusCode::OUT_OF_RANGE);
}

TEST_CASE("a damaged blob is DataLoss") {
  Daemon d;
  const std::string digest = d.world.put(d.world.a, "whole blob").to_string();
  SECTION("cut before it is opened") {
    d.world.memory->put(digest, bytes_of("whole"));
    CHECK(info(d, digest) == StatusCode::DATA_LOSS);
  }
  SECTION("cut while it is open") {
    d.world.memory->readable = 5;
  }
  CHECK(read(d, digest).code == StatusCode::DATA_LOSS);
}

TEST_CASE("a write of messages of 8 MiB") {
  Daemon d;
  const std::string text = random_text(20 << 20);
  const std::string digest = digest_of(text).to_string();
  const auto total = static_cast<int64_t>(text.size());
  const WriteAnswer answer = write(
      d, {message(api::STAT, "r", 0, {}, {}, total), message(api::WRITE, "r", 0, text.substr(0, 8 << 20)),
          message(api::WRITE, "r", 8 << 20, text.substr(8 << 20, 8 << 20)),
          message(api::WRITE, "r", 16 << 20, text.substr(16 << 20)), message(api::COMMIT, "r", total, {}, digest, total)});
  REQUIRE(answer.code == StatusCode::OK);
  REQUIRE(answer.responses.size() == 5);
  CHECK(answer.responses[0].total() == total);
  CHECK(answer.responses[0].started_at().seconds() == 1);
  CHECK(answer.responses[0].digest() == digest_of("").to_string());
  CHECK(answer.responses[1].offset() == 8 << 20);
  CHECK(answer.responses[1].digest() == digest_of(text.substr(0, 8 << 20)).to_string());
  CHECK(answer.responses[4].action() == api::COMMIT);
  CHECK(answer.responses[4].digest() == digest);
  CHECK(read(d, digest).data == text);
}

TEST_CASE("bad writes and their codes") {
  Daemon d;
  const std::string digest = d.world.put(d.world.a, "foobar").to_string();
  CHECK(write(d, {message(api::STAT, "")}).code == StatusCode::INVALID_ARGUMENT);
  CHECK(write(d, {message(static_cast<api::WriteAction>(7), "r")}).code == StatusCode::INVALID_ARGUMENT);
  CHECK(write(d, {message(api::WRITE, "r", 5, "x")}).code == StatusCode::OUT_OF_RANGE);
  CHECK(write(d, {message(api::WRITE, "r", -1, "x")}).code == StatusCode::OUT_OF_RANGE);
  CHECK(write(d, {message(api::COMMIT, "r", 0, "x", kUnknown)}).code == StatusCode::FAILED_PRECONDITION);
  CHECK(write(d, {message(api::COMMIT, "r", 0, "x", {}, 2)}).code == StatusCode::FAILED_PRECONDITION);
  CHECK(write(d, {message(api::STAT, "r", 0, {}, digest)}).code == StatusCode::ALREADY_EXISTS);
  {
    const std::lock_guard lock(d.world.memory->mutex);
    d.world.memory->fail_append = Code::kResourceExhausted;
  }
  const WriteAnswer full = write(d, {message(api::WRITE, "r", 0, "xy")});
  CHECK(full.code == StatusCode::RESOURCE_EXHAUSTED);
  CHECK(full.message == "append: no room");
  CHECK(write(d, {}).code == StatusCode::OK);  // a stream without a message
  const WriteAnswer fine = write(d, {message(api::COMMIT, "r", 0, "fine")});
  CHECK(fine.code == StatusCode::OK);
}

TEST_CASE("a second stream on a ref is Unavailable until the first ends") {
  Daemon d;
  {
    grpc::ClientContext context;
    const auto first = d.stub->Write(&context);
    api::WriteContentResponse response;
    REQUIRE(first->Write(message(api::WRITE, "r", 0, "foo")));
    REQUIRE(first->Read(&response));
    CHECK(write(d, {message(api::STAT, "r")}).code == StatusCode::UNAVAILABLE);
    first->WritesDone();
    CHECK(first->Finish().ok());
  }
  CHECK(write(d, {message(api::STAT, "r")}).responses.at(0).offset() == 3);
}

TEST_CASE("a client that goes away leaves its ingest and frees its ref") {
  Daemon d;
  {
    grpc::ClientContext context;
    const auto stream = d.stub->Write(&context);
    api::WriteContentResponse response;
    REQUIRE(stream->Write(message(api::WRITE, "r", 0, "foo")));
    REQUIRE(stream->Read(&response));
    context.TryCancel();
    CHECK(stream->Finish().error_code() == StatusCode::CANCELLED);
  }
  WriteAnswer next;
  const auto end = std::chrono::steady_clock::now() + 10s;
  do {
    next = write(d, {message(api::STAT, "r")});
  } while (next.code == StatusCode::UNAVAILABLE && std::chrono::steady_clock::now() < end);
  REQUIRE(next.code == StatusCode::OK);
  CHECK(next.responses.at(0).offset() == 3);
}

TEST_CASE("a listing has 100 blobs a message and stays open while they are deleted") {
  Daemon d;
  for (int i = 0; i < 250; ++i) d.world.put(d.world.a, "blob " + std::to_string(i));
  d.world.put(d.world.b, "not a's");
  std::vector<int> sizes;
  CHECK(list(d, {}, &sizes) == StatusCode::OK);
  CHECK(sizes == std::vector<int>{100, 100, 50});
  sizes.clear();
  CHECK(list(d, {}, &sizes) == StatusCode::OK);
  CHECK(sizes.empty());
  CHECK(list(d, {"digest==\"unclosed"}) == StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("ingests: Status, ListStatuses, Abort") {
  Daemon d;
  REQUIRE(write(d, {message(api::WRITE, "one", 0, "123", {}, 9)}).code == StatusCode::OK);
  REQUIRE(write(d, {message(api::WRITE, "two", 0, "1234")}).code == StatusCode::OK);
  const auto status = [&](const std::string& ref, api::StatusResponse* response) {
    grpc::ClientContext context;
    api::StatusRequest request;
    request.set_ref(ref);
    return d.stub->Status(&context, request, response).error_code();
  };
  const auto statuses = [&](const std::string& filter, api::ListStatusesResponse* response) {
    grpc::ClientContext context;
    api::ListStatusesRequest request;
    if (!filter.empty()) request.add_filters(filter);
    return d.stub->ListStatuses(&context, request, response).error_code();
  };
  const auto abort = [&](const std::string& ref) {
    grpc::ClientContext context;
    api::AbortRequest request;
    request.set_ref(ref);
    google::protobuf::Empty response;
    return d.stub->Abort(&context, request, &response).error_code();
  };
  api::StatusResponse one;
  REQUIRE(status("one", &one) == StatusCode::OK);
  CHECK(one.status().ref() == "one");
  CHECK(one.status().offset() == 3);
  CHECK(one.status().total() == 9);
  CHECK(one.status().started_at().seconds() == 1);
  CHECK(status("nobody", &one) == StatusCode::NOT_FOUND);
  CHECK(status("", &one) == StatusCode::NOT_FOUND);
  api::ListStatusesResponse all;
  CHECK(statuses("", &all) == StatusCode::OK);
  CHECK(all.statuses_size() == 2);
  CHECK(statuses("ref==two", &all) == StatusCode::OK);
  REQUIRE(all.statuses_size() == 1);
  CHECK(all.statuses(0).offset() == 4);
  CHECK(statuses("ref==\"", &all) == StatusCode::INVALID_ARGUMENT);
  CHECK(abort("one") == StatusCode::OK);
  CHECK(abort("one") == StatusCode::OK);
  CHECK(status("one", &one) == StatusCode::NOT_FOUND);
}

TEST_CASE("what is written on the operator's socket is pinned") {
  Daemon d(content::kOperator);
  REQUIRE(write(d, {message(api::COMMIT, "r", 0, "foo")}).code == StatusCode::OK);
  CHECK(d.world.catalog->pinned(digest_of("foo")));
}

TEST_CASE("a lease on the operator's socket owns the pins of what is written under it") {
  Daemon d(content::kOperator);
  const auto write_under = [&](const std::string& lease, const std::string& bytes) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-lease", lease);
    const auto stream = d.stub->Write(&context);
    api::WriteContentResponse response;
    stream->Write(message(api::COMMIT, "r" + bytes, 0, bytes));
    stream->Read(&response);
    stream->WritesDone();
    return stream->Finish().error_code();
  };
  REQUIRE(write_under("run 1", "foo") == StatusCode::OK);
  const auto owners = [&] { return d.world.catalog->pin_owners(digest_of("foo")); };
  CHECK(owners() == std::vector<std::string>{"run 1"});
  CHECK(write_under("run 2", "foo") == StatusCode::ALREADY_EXISTS);
  CHECK(owners() == std::vector<std::string>{"run 1", "run 2"});
  CHECK(write_under(std::string(300, 'x'), "bar") == StatusCode::INVALID_ARGUMENT);
  CHECK_FALSE(d.world.memory->has(digest_of("bar").to_string()));

  Daemon client("a");  // containerd's leases are its own business
  grpc::ClientContext context;
  context.AddMetadata("containerd-lease", std::string(300, 'x'));
  const auto stream = client.stub->Write(&context);
  api::WriteContentResponse response;
  stream->Write(message(api::COMMIT, "r", 0, "foo"));
  stream->Read(&response);
  stream->WritesDone();
  CHECK(stream->Finish().ok());
}

TEST_CASE("deadline and trace reach the backend") {
  Daemon d;
  const std::string digest = d.world.put(d.world.a, "x").to_string();
  std::mutex mutex;
  bool has_deadline = false;
  std::chrono::steady_clock::time_point deadline;
  std::string trace;
  d.world.memory->set_on_call([&](const char*, const plugin::Call& call) {
    const std::lock_guard lock(mutex);
    has_deadline = call.has_deadline();
    if (has_deadline) deadline = call.deadline();
    trace.clear();
    for (const uint8_t byte : call.abi()->trace_id) trace += fmt::format("{:02x}", byte);
    for (const uint8_t byte : call.abi()->span_id) trace += fmt::format("{:02x}", byte);
  });
  const auto ask = [&](grpc::ClientContext& context) {
    api::InfoRequest request;
    request.set_digest(digest);
    api::InfoResponse response;
    CHECK(d.stub->Info(&context, request, &response).ok());
  };
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 100s);
    context.AddMetadata("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    ask(context);
    const std::lock_guard lock(mutex);
    const auto left = deadline - std::chrono::steady_clock::now();
    CHECK(has_deadline);
    CHECK(left > 80s);
    CHECK(left <= 101s);
    CHECK(trace == "4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7");
  }
  {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", "nonsense");
    ask(context);
    const std::lock_guard lock(mutex);
    CHECK_FALSE(has_deadline);
    CHECK(trace == std::string(48, '0'));
  }
  d.server.reset();
}

TEST_CASE("an error that the backend did not mean to make is Internal and names it") {
  Daemon d;
  d.world.memory->set_on_call([](const char*, const plugin::Call&) { throw std::runtime_error("surprise"); });
  grpc::ClientContext context;
  api::InfoRequest request;
  request.set_digest(kUnknown);
  api::InfoResponse response;
  const grpc::Status status = d.stub->Info(&context, request, &response);
  CHECK(status.error_code() == StatusCode::INTERNAL);
  CHECK(status.error_message() == "surprise");
}
