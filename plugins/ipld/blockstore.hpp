// Where blocks come from and go to.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "ipld/cid.hpp"

namespace ipcs::ipld {

struct Block {
  Cid cid;
  Bytes data;
};

// Throws Error kDataLoss that names `cid` unless `data` has its hash; kUnimplemented when the hash can't be computed.
void verify(const Cid& cid, BytesView data);

// Takes blocks. Its user calls from one thread unless the implementation says otherwise.
class BlockSink {
 public:
  virtual ~BlockSink() = default;
  // `data` is valid during the call only and has the hash of `cid`. Throws Error; then the writer gives up.
  virtual void put(const Cid& cid, BytesView data) = 0;
};

// Gives blocks. Its user calls from one thread unless the implementation says otherwise.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // The block's bytes; they need not be verified, the reader does that. Throws Error, kNotFound when there is none.
  virtual Bytes get(const Cid& cid) = 0;
  // These will be asked for soon, in this order. A hint: it must not wait, and asking again must be cheap.
  virtual void want(std::span<const Cid> cids) { static_cast<void>(cids); }
  // Whether file_bytes() is worth a call: one who reads a file from front to end asks it before get() then, and wants
  // nothing ahead.
  virtual bool streams() const noexcept { return false; }
  // The bytes [offset, offset + size) of the file, which a leaf `cid` should hold; the reader verifies them by making
  // the leaf of them, and gets the block where they prove wrong. Empty: get the block.
  virtual std::optional<Bytes> file_bytes(const Cid& cid, uint64_t offset, uint64_t size) {
    static_cast<void>(cid), static_cast<void>(offset), static_cast<void>(size);
    return std::nullopt;
  }
};

// A place for blocks. Blocks are found by multihash: versions and codecs of a CID share one.
class Blockstore : public BlockSink, public BlockSource {
 public:
  virtual bool has(const Cid& cid) = 0;
  // Nothing happens when it has none.
  virtual void remove(const Cid& cid) = 0;
};

// Drops all blocks: for those who want the CID alone.
class NoBlocks final : public BlockSink {
 public:
  void put(const Cid&, BytesView) override {}
};

// Hands each block to a function.
class BlockCallback final : public BlockSink {
 public:
  using Function = std::function<void(const Cid&, BytesView)>;
  explicit BlockCallback(Function function) : function_(std::move(function)) {}
  void put(const Cid& cid, BytesView data) override { function_(cid, data); }

 private:
  Function function_;
};

// Holds blocks in memory. All threads.
class MemoryBlockstore final : public Blockstore {
 public:
  void put(const Cid& cid, BytesView data) override;
  Bytes get(const Cid& cid) override;
  bool has(const Cid& cid) override;
  void remove(const Cid& cid) override;
  // Number of blocks.
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::map<Multihash, Bytes> blocks_;
};

}  // namespace ipcs::ipld
