// CARv1 (ipld.io/specs/transport/car/carv1): blocks one after the other in a file or a stream.
#pragma once

#include <functional>
#include <optional>

#include "ipld/blockstore.hpp"

namespace ipcs::ipld {

inline constexpr size_t kMaxCarHeader = 1 << 20;  // bytes; some 20,000 roots

// Writes a CAR. As a BlockSink it can stand behind a DagBuilder or a walk.
class CarWriter final : public BlockSink {
 public:
  using Output = std::function<void(BytesView)>;

  // Writes the header. Roots may be none, where they are not known yet; Kubo takes such a CAR, others may not.
  CarWriter(Output output, std::span<const Cid> roots);
  // Writes a section. Throws what the output throws.
  void put(const Cid& cid, BytesView data) override;
  // Bytes written.
  uint64_t size() const noexcept { return size_; }
  // Bytes that put() would write.
  static uint64_t section_size(const Cid& cid, size_t data_size) noexcept;

 private:
  void write(BytesView bytes);

  Output output_;
  Bytes head_;  // of a section
  uint64_t size_ = 0;
};

// Reads a CAR that arrives in pieces of any size: append() a piece, then next() until it returns nothing, at the end
// finish(). Blocks are verified. Holds one section and the last piece. After an Error it can only be destroyed.
class CarReader {
 public:
  void append(BytesView bytes);
  // The next block that is complete. Throws Error kInvalidArgument for what is no CARv1 or exceeds kMaxCarHeader or a
  // block's size, kDataLoss that names the CID when the bytes have another hash, kUnimplemented for other hashes.
  std::optional<Block> next();
  // That was all. Throws Error kDataLoss when the CAR ends in the middle of something, or before its header.
  void finish() const;

  // Nothing until the header has been read, which next() does.
  const std::optional<std::vector<Cid>>& roots() const noexcept { return roots_; }
  uint64_t blocks() const noexcept { return blocks_; }

 private:
  std::optional<BytesView> take_section(size_t most);

  Bytes buffer_;
  size_t begin_ = 0;  // of what has not been read
  uint64_t offset_ = 0, blocks_ = 0;
  std::optional<std::vector<Cid>> roots_;
};

}  // namespace ipcs::ipld
