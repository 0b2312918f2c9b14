// Two SHA-256 streams with the SHA instructions of x86, one of them with its message schedule made by AVX-512VL.
//
// The SHA instructions share one port of the core. The rounds of two streams keep it busy for 128 cycles a block, both
// schedules for about 100 more; the vector instructions of one schedule fit beside that on other ports. Vectors of 128
// bits only: SHA256RNDS2 is many times slower while the upper half of any register is in use.
#include "ipld/sha256_blocks.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "ipld/sha256_lanes.hpp"

namespace ipcs::ipld {
namespace {

#define IPCS_AVX512 __attribute__((target("sha,avx512f,avx512vl"), always_inline))

constexpr int kXorOfThree = 0x96;

IPCS_AVX512 inline __m128i sigma1(__m128i w) noexcept {
  return _mm_ternarylogic_epi32(_mm_ror_epi32(w, 17), _mm_ror_epi32(w, 19), _mm_srli_epi32(w, 10), kXorOfThree);
}

// next_words() of sha256_lanes.hpp without SHA instructions.
template <int Group>
IPCS_AVX512 inline __m128i next_words_beside(__m128i (&all)[4], const uint8_t* block) noexcept {
  __m128i& oldest = all[Group % 4];
  if constexpr (Group < 4) {
    oldest = first_words<Group>(block);
  } else {
    const __m128i last = all[(Group + 3) % 4];
    const __m128i fifteen_back = _mm_alignr_epi8(all[(Group + 1) % 4], oldest, 4);
    const __m128i seven_back = _mm_alignr_epi8(last, all[(Group + 2) % 4], 4);
    const __m128i sigma0 = _mm_ternarylogic_epi32(_mm_ror_epi32(fifteen_back, 7), _mm_ror_epi32(fifteen_back, 18),
                                                  _mm_srli_epi32(fifteen_back, 3), kXorOfThree);
    const __m128i sum = _mm_add_epi32(_mm_add_epi32(oldest, seven_back), sigma0);
    // The upper two of the four words need the lower two.
    const __m128i lower = _mm_mask_add_epi32(sum, 0x3, sum, sigma1(_mm_shuffle_epi32(last, 0xee)));
    oldest = _mm_mask_add_epi32(lower, 0xc, lower, sigma1(_mm_shuffle_epi32(lower, 0x44)));
  }
  return with_constants<Group>(oldest);
}

template <int Group>
IPCS_AVX512 inline void four_rounds_of_two(Rounds& a, __m128i (&a_all)[4], const uint8_t* a_block, Rounds& b,
                                           __m128i (&b_all)[4], const uint8_t* b_block) noexcept {
  const __m128i a_words = next_words<Group>(a_all, a_block);
  const __m128i b_words = next_words_beside<Group>(b_all, b_block);
  two_rounds(a, a_words);
  two_rounds(b, b_words);
  two_rounds(a, _mm_shuffle_epi32(a_words, 0x0e));
  two_rounds(b, _mm_shuffle_epi32(b_words, 0x0e));
  if constexpr (Group < 15) four_rounds_of_two<Group + 1>(a, a_all, a_block, b, b_all, b_block);
}

__attribute__((target("sha,avx512f,avx512vl"))) void compress_two(Sha256State& a_state, const uint8_t* a,
                                                                  Sha256State& b_state, const uint8_t* b,
                                                                  size_t blocks) noexcept {
  if (a == b) {
    // One schedule serves both.
    sha_instructions().two(a_state, a, b_state, b, blocks);
    return;
  }
  Rounds a_rounds = load(a_state), b_rounds = load(b_state);
  __m128i a_all[4], b_all[4];
  for (; blocks > 0; --blocks, a += 64, b += 64) {
    const Rounds a_before = a_rounds, b_before = b_rounds;
    four_rounds_of_two<0>(a_rounds, a_all, a, b_rounds, b_all, b);
    add(a_rounds, a_before);
    add(b_rounds, b_before);
  }
  store(a_rounds, a_state);
  store(b_rounds, b_state);
}

#undef IPCS_AVX512

// Not CPUID alone: the system has to save the registers too.
bool this_machine_has_them() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}

}  // namespace

Compression sha_instructions_and_avx512() noexcept {
  static const bool kPresent = this_machine_has_them();
  const Compression without = sha_instructions();
  if (!kPresent || without.one == nullptr) return {nullptr, nullptr};
  return {without.one, compress_two};
}

}  // namespace ipcs::ipld

#else

namespace ipcs::ipld {

Compression sha_instructions_and_avx512() noexcept { return {nullptr, nullptr}; }

}  // namespace ipcs::ipld

#endif
