// SHA-256 whose streams can advance two at a time.
//
// One stream is bound by the latency of the processor's SHA instructions; a second one beside it is nearly free. So the
// digest of a blob and those of its leaves are computed in one pass.
#pragma once

#include <array>

#include "ipld/bytes.hpp"

namespace ipcs::ipld {

using Sha256Digest = std::array<uint8_t, 32>;

// A running SHA-256. Copyable value; one thread at a time.
class Sha256 {
 public:
  void update(BytesView bytes) noexcept;
  // The digest of everything so far; more may follow.
  Sha256Digest digest() const noexcept;
  // Bytes so far.
  uint64_t size() const noexcept { return size_; }

  static Sha256Digest of(BytesView bytes) noexcept;

  // a.update(a_bytes) and b.update(b_bytes), interleaved. `a` and `b` are two objects.
  static void update_two(Sha256& a, BytesView a_bytes, Sha256& b, BytesView b_bytes) noexcept;

 private:
  // Completes the block in hand, if `bytes` can. Returns what is left; that begins a block or is empty.
  BytesView fill(BytesView bytes) noexcept;
  void keep(BytesView rest) noexcept;

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint64_t size_ = 0;
  std::array<uint8_t, 64> pending_{};  // the first size_ % 64 bytes are of the block in hand
};

// Whether the processor's SHA instructions are used; OpenSSL does the work otherwise.
bool has_sha_instructions() noexcept;

}  // namespace ipcs::ipld
