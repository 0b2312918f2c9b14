// The compression function of SHA-256 in several ways, for sha256.cpp alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ipcs::ipld {

using Sha256State = std::array<uint32_t, 8>;

// Advances `state` over `blocks` × 64 bytes.
using Compress = void (*)(Sha256State& state, const uint8_t* bytes, size_t blocks) noexcept;
// Two states at once, the same number of blocks each.
using CompressTwo = void (*)(Sha256State& a, const uint8_t* a_bytes, Sha256State& b, const uint8_t* b_bytes,
                             size_t blocks) noexcept;

struct Compression {
  Compress one;
  CompressTwo two;
};

// With the processor's SHA instructions; null functions where this machine has none.
Compression sha_instructions() noexcept;
// With OpenSSL, on every machine.
Compression openssl_compression() noexcept;

// All that this machine can do, the fastest last. For tests; one is chosen for good at the first use.
std::vector<Compression> all_compressions();

}  // namespace ipcs::ipld
