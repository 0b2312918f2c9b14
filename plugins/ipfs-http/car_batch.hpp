// Blocks on their way to Kubo: a CAR that is whole in itself, so that one request stores and pins it.
#pragma once

#include <array>
#include <vector>

#include "ipld/car.hpp"
#include "ipld/cid.hpp"
#include "kubo/rpc.hpp"

namespace ipcs::ipfs_http {

// Bytes of blocks in a CAR: few while Kubo keeps up, so that little is left to do at the end; many where it lags behind,
// which it takes faster.
inline constexpr uint64_t kBatchBytes = 8 << 20, kLargeBatch = 24 << 20;
// A link takes about fifty bytes of the guard, which as a block may have two MiB.
inline constexpr size_t kMostBlocks = 20'000;

// Collects blocks; `send` gives them to Kubo under one pin.
//
// The pin is of a *guard*: a node made up for the purpose that links to every block of the CAR as if it were raw. Kubo
// finds and keeps blocks by multihash, so the guard keeps them whatever they are, and pinning it reads no further than
// this CAR. It says whose it is, so that a pin that is left over can be told from the operator's own, and a random number
// makes it no other CAR's, so that dropping its pin harms nobody. So Kubo's garbage collection never sees a block of an
// unfinished blob without a pin, no pin walk ever leaves for the network, and the pin lock is held for one CAR at a time.
class CarBatch final : public ipld::BlockSink {
 public:
  CarBatch();
  void put(const ipld::Cid& cid, ipld::BytesView data) override;

  // Makes room for so many bytes in all.
  void reserve(uint64_t bytes) { sections_.reserve(bytes); }
  uint64_t bytes() const noexcept { return sections_.size(); }
  // Whether it should go: kBatchBytes, or as many blocks as a guard has room for.
  bool full() const noexcept { return sections_.size() >= kBatchBytes || links_.size() >= kMostBlocks; }
  bool empty() const noexcept { return links_.empty(); }
  // The root that send() will pin. `store`: the id of the store whose blocks these are.
  ipld::Cid root(std::string_view store) const;
  // Stores and pins. Not empty. Throws Error as Rpc::dag_import does.
  void send(const plugin::Call& call, kubo::Rpc& rpc, std::string_view store) const;
  // Whether a block is a guard of that store.
  static bool is_guard(ipld::BytesView block, std::string_view store);

 private:
  struct Linked {
    ipld::Cid cid;
    uint64_t size;
  };
  ipld::Bytes guard(std::string_view store) const;

  std::array<uint8_t, 16> nonce_;
  ipld::Bytes sections_;  // of the CAR
  std::vector<Linked> links_;
};

}  // namespace ipcs::ipfs_http
