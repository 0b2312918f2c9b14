// Counts answers from the moment they are made until gRPC frees them.
#include "service/read_memory.hpp"

#include <algorithm>
#include <utility>

#include "service/happens_before.hpp"

namespace ipcs::service {
namespace {

// What gRPC is given to free.
struct Answer {
  ReadMemory::Share share;
  std::unique_ptr<uint8_t[]> bytes;
};

void free_answer(void* of) {
  happens_after(of);
  delete static_cast<Answer*>(of);
}

}  // namespace

ReadMemory::Share::Share(Share&& other) noexcept : memory_(std::move(other.memory_)), size_(other.size_) {}

ReadMemory::Share::~Share() {
  if (memory_) memory_->taken_ -= size_;
}

ReadMemory::Share ReadMemory::take(const std::shared_ptr<ReadMemory>& memory, uint64_t wanted) {
  Share share;
  share.size_ = wanted;
  if (wanted <= kSmallest) return share;
  uint64_t taken = memory->taken_;
  do {
    const uint64_t free = kTotal - std::min(kTotal, taken);
    share.size_ = std::min(wanted, std::clamp(free / kParts, kSmallest, kLargest));
  } while (!memory->taken_.compare_exchange_weak(taken, taken + share.size_));
  share.memory_ = memory;
  return share;
}

grpc::Slice ReadMemory::slice(Share share, size_t bytes) {
  if (!share.memory_) return grpc::Slice(bytes);
  auto answer = std::make_unique<Answer>(Answer{std::move(share), std::make_unique_for_overwrite<uint8_t[]>(bytes)});
  uint8_t* const data = answer->bytes.get();
  happens_before(answer.get());
  return grpc::Slice(data, bytes, free_answer, answer.release());
}

}  // namespace ipcs::service
