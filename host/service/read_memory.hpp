// The memory of Read's answers that clients have not taken yet.
#pragma once

#include <grpcpp/support/slice.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace ipcs::service {

// Bounds what answers take that wait for slow clients, over all sockets: the less is free, the smaller the next ones
// are. With up to 56 readers at once every answer has its full size. [thread-safe]
class ReadMemory {
 public:
  static constexpr uint64_t kTotal = 64 << 20;     // bytes; answers of kSmallest are made also when nothing is free
  static constexpr uint64_t kLargest = 1 << 20;    // bytes of an answer
  static constexpr uint64_t kSmallest = 32 << 10;  // likewise; what containerd asks for at once, and not worth counting
  static constexpr uint64_t kParts = 8;            // an answer takes at most such a part of what is free

  // Bytes for one answer, taken until this object goes.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept;
    Share& operator=(Share&&) = delete;
    ~Share();

    // Bytes of the blob for this answer, at most what was wanted.
    uint64_t size() const noexcept { return size_; }

   private:
    friend class ReadMemory;
    std::shared_ptr<ReadMemory> memory_;  // null: not counted
    uint64_t size_ = 0;
  };

  // A share of `wanted` bytes or fewer, but never of less than min(wanted, kSmallest).
  static Share take(const std::shared_ptr<ReadMemory>& memory, uint64_t wanted);

  // `bytes` bytes to send; the share goes when gRPC has no more use for them.
  static grpc::Slice slice(Share share, size_t bytes);

  // Bytes that are taken now.
  uint64_t taken() const noexcept { return taken_; }

 private:
  std::atomic<uint64_t> taken_{0};
};

}  // namespace ipcs::service
