// How large answers to Read may be while others wait to be taken.
#include "service/read_memory.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <thread>
#include <vector>

#include "host/service/daemon.hpp"

using namespace ipcs;
using namespace ipcs::test;
using service::ReadMemory;
namespace api = containerd::services::content::v1;

TEST_CASE("few readers have answers of the full size") {
  const auto memory = std::make_shared<ReadMemory>();
  std::vector<ReadMemory::Share> shares;
  for (int i = 0; i < 56; ++i) {
    shares.push_back(ReadMemory::take(memory, 8 << 20));
    REQUIRE(shares.back().size() == ReadMemory::kLargest);
  }
  CHECK(ReadMemory::take(memory, 500'000).size() == 500'000);
  shares.push_back(ReadMemory::take(memory, 8 << 20));
  CHECK(ReadMemory::take(memory, 8 << 20).size() < ReadMemory::kLargest);
  shares.clear();
  CHECK(memory->taken() == 0);
}

TEST_CASE("many readers have a bounded memory, and answers all the same") {
  const auto memory = std::make_shared<ReadMemory>();
  std::deque<ReadMemory::Share> shares;
  uint64_t sum = 0, last = ReadMemory::kLargest;
  for (int i = 0; i < 2000; ++i) {
    shares.push_back(ReadMemory::take(memory, 8 << 20));
    REQUIRE(shares.back().size() <= last);
    REQUIRE(shares.back().size() >= ReadMemory::kSmallest);
    sum += last = shares.back().size();
  }
  CHECK(memory->taken() == sum);
  CHECK(sum <= ReadMemory::kTotal + 2000 * ReadMemory::kSmallest);
  CHECK(last == ReadMemory::kSmallest);
  // One who takes his answer makes room for others.
  while (memory->taken() > ReadMemory::kTotal / 2) shares.pop_front();
  CHECK(ReadMemory::take(memory, 8 << 20).size() > ReadMemory::kSmallest);
}

TEST_CASE("containerd's small reads are not counted") {
  const auto memory = std::make_shared<ReadMemory>();
  const ReadMemory::Share share = ReadMemory::take(memory, ReadMemory::kSmallest);
  CHECK(share.size() == ReadMemory::kSmallest);
  CHECK(memory->taken() == 0);
}

TEST_CASE("an answer's memory is taken until the last who sends it is done") {
  auto memory = std::make_shared<ReadMemory>();
  grpc::Slice kept;
  {
    const grpc::Slice slice = ReadMemory::slice(ReadMemory::take(memory, 100'000), 100'010);
    CHECK(slice.size() == 100'010);
    kept = slice;
  }
  CHECK(memory->taken() == 100'000);
  kept = grpc::Slice();
  CHECK(memory->taken() == 0);

  kept = ReadMemory::slice(ReadMemory::take(memory, 100'000), 100'010);
  memory.reset();  // gRPC may be the last who has it
  kept = grpc::Slice();
}

TEST_CASE("takers at once never take more than there is") {
  const auto memory = std::make_shared<ReadMemory>();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        std::vector<ReadMemory::Share> shares;
        for (int j = 0; j < 50; ++j) shares.push_back(ReadMemory::take(memory, 8 << 20));
        if (memory->taken() > ReadMemory::kTotal + 200 * ReadMemory::kSmallest) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(memory->taken() == 0);
}

TEST_CASE("clients that do not read leave small answers to others, which are whole") {
  Daemon daemon;
  std::string big;
  for (int i = 0; big.size() < 3'000'000; ++i) big += std::to_string(i);
  const oci::Digest digest = daemon.world.put(daemon.world.a, big);
  const auto memory = std::make_shared<ReadMemory>();
  service::ContentService service(*daemon.world.content, daemon.world.a, nullptr, memory);
  const std::string socket = daemon.world.dir / "second.sock";
  const auto server =
      service::Server::start({socket, {}, {}, 0600}, {service.methods(), {}}, daemon.lanes, log::Log::none());
  const auto stub = api::Content::NewStub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  std::vector<ReadMemory::Share> others;
  const auto largest_answer = [&] {
    grpc::ClientContext context;
    api::ReadContentRequest request;
    request.set_digest(digest.to_string());
    const auto stream = stub->Read(&context, request);
    std::string read;
    size_t largest = 0;
    for (api::ReadContentResponse response; stream->Read(&response); read += response.data())
      largest = std::max(largest, response.data().size());
    CHECK(stream->Finish().ok());
    CHECK(read == big);
    return largest;
  };
  CHECK(largest_answer() == ReadMemory::kLargest);
  for (int i = 0; i < 1000; ++i) others.push_back(ReadMemory::take(memory, 8 << 20));
  CHECK(largest_answer() == ReadMemory::kSmallest);
  others.clear();
  CHECK(largest_answer() == ReadMemory::kLargest);
  for (int i = 0; i < 1000 && memory->taken() > 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(memory->taken() == 0);
}
