// Decompressing, hashing and writing of a layer at the same time, in bounded memory.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "diff/byte_source.hpp"
#include "diff/decompressor.hpp"

namespace ipcs::diff {

// What the stream was when it is over.
struct StreamTotals {
  std::string digest;  // sha256 of the uncompressed bytes
  uint64_t size = 0;   // of them
  double decompress_seconds = 0, hash_seconds = 0;  // spent, waiting aside
};

// The uncompressed bytes as a source: a thread decompresses ahead of whoever reads, another one hashes. What was read
// is valid until the next call, as of any source.
class Pipeline final : public ByteSource {
 public:
  // `decompressor` outlives the pipeline. More than `limit` bytes are an Error kResourceExhausted; 0: no limit.
  Pipeline(Decompressor& decompressor, uint64_t limit);
  ~Pipeline() override;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Throws what the decompressor threw.
  std::span<const uint8_t> next(size_t max) override;

  // Takes what is left and waits for the hash of all. Throws what the decompressor threw.
  StreamTotals finish();

 private:
  static constexpr size_t kBuffers = 8;
  static constexpr size_t kBuffer = 256 * 1024;

  void decompress();
  void hash();

  Decompressor& decompressor_;
  const uint64_t limit_;
  std::array<std::vector<uint8_t>, kBuffers> buffers_;
  std::array<size_t, kBuffers> filled_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t made_ = 0, hashed_ = 0, read_ = 0;  // buffers, counted from the first
  bool over_ = false, stopping_ = false;
  std::exception_ptr failure_;
  StreamTotals totals_;
  // The reader's own.
  std::span<const uint8_t> rest_;
  bool holds_ = false;  // the buffer that rest_ is of
  std::thread hasher_, decompressing_;
};

}  // namespace ipcs::diff
