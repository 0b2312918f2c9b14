// SHA-256 with the SHA instructions of x86, one or two streams at a time.
#include "ipld/sha256_blocks.hpp"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include "ipld/sha256_lanes.hpp"

namespace ipcs::ipld {
namespace {

#define IPCS_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline))
#define IPCS_SHA_FUNCTION __attribute__((target("sha,sse4.1,ssse3")))

template <int Group>
IPCS_SHA inline void rounds_of_one(Rounds& a, __m128i (&all)[4], const uint8_t* block) noexcept {
  const __m128i words = next_words<Group>(all, block);
  two_rounds(a, words);
  two_rounds(a, _mm_shuffle_epi32(words, 0x0e));
  if constexpr (Group < 15) rounds_of_one<Group + 1>(a, all, block);
}

template <int Group>
IPCS_SHA inline void rounds_of_two(Rounds& a, __m128i (&a_all)[4], const uint8_t* a_block, Rounds& b, __m128i (&b_all)[4],
                                   const uint8_t* b_block) noexcept {
  const __m128i a_words = next_words<Group>(a_all, a_block);
  const __m128i b_words = next_words<Group>(b_all, b_block);
  two_rounds(a, a_words);
  two_rounds(b, b_words);
  two_rounds(a, _mm_shuffle_epi32(a_words, 0x0e));
  two_rounds(b, _mm_shuffle_epi32(b_words, 0x0e));
  if constexpr (Group < 15) rounds_of_two<Group + 1>(a, a_all, a_block, b, b_all, b_block);
}

template <int Group>
IPCS_SHA inline void rounds_of_two_alike(Rounds& a, Rounds& b, __m128i (&all)[4], const uint8_t* block) noexcept {
  const __m128i words = next_words<Group>(all, block);
  const __m128i upper = _mm_shuffle_epi32(words, 0x0e);
  two_rounds(a, words);
  two_rounds(b, words);
  two_rounds(a, upper);
  two_rounds(b, upper);
  if constexpr (Group < 15) rounds_of_two_alike<Group + 1>(a, b, all, block);
}

IPCS_SHA_FUNCTION void compress_one(Sha256State& state, const uint8_t* bytes, size_t blocks) noexcept {
  Rounds rounds = load(state);
  __m128i all[4];
  for (; blocks > 0; --blocks, bytes += 64) {
    const Rounds before = rounds;
    rounds_of_one<0>(rounds, all, bytes);
    add(rounds, before);
  }
  store(rounds, state);
}

// Streams at the same bytes, as a raw leaf and its file are, share the schedule.
IPCS_SHA_FUNCTION void compress_two_alike(Sha256State& a_state, Sha256State& b_state, const uint8_t* bytes,
                                          size_t blocks) noexcept {
  Rounds a = load(a_state), b = load(b_state);
  __m128i all[4];
  for (; blocks > 0; --blocks, bytes += 64) {
    const Rounds a_before = a, b_before = b;
    rounds_of_two_alike<0>(a, b, all, bytes);
    add(a, a_before);
    add(b, b_before);
  }
  store(a, a_state);
  store(b, b_state);
}

IPCS_SHA_FUNCTION void compress_two(Sha256State& a_state, const uint8_t* a_bytes, Sha256State& b_state,
                                    const uint8_t* b_bytes, size_t blocks) noexcept {
  if (a_bytes == b_bytes) {
    compress_two_alike(a_state, b_state, a_bytes, blocks);
    return;
  }
  Rounds a = load(a_state), b = load(b_state);
  __m128i a_all[4], b_all[4];
  for (; blocks > 0; --blocks, a_bytes += 64, b_bytes += 64) {
    const Rounds a_before = a, b_before = b;
    rounds_of_two<0>(a, a_all, a_bytes, b, b_all, b_bytes);
    add(a, a_before);
    add(b, b_before);
  }
  store(a, a_state);
  store(b, b_state);
}

#undef IPCS_SHA
#undef IPCS_SHA_FUNCTION

bool this_machine_has_them() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

}  // namespace

Compression sha_instructions() noexcept {
  static const bool kPresent = this_machine_has_them();
  return kPresent ? Compression{compress_one, compress_two} : Compression{nullptr, nullptr};
}

}  // namespace ipcs::ipld

#else

namespace ipcs::ipld {

Compression sha_instructions() noexcept { return {nullptr, nullptr}; }

}  // namespace ipcs::ipld

#endif
