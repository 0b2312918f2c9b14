// SHA-256 with the SHA instructions of x86, one or two streams at a time.
#include "ipld/sha256_blocks.hpp"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

namespace ipcs::ipld {
namespace {

#define IPCS_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline))
#define IPCS_SHA_FUNCTION __attribute__((target("sha,sse4.1,ssse3")))

// The constants of the rounds (FIPS 180-4, 4.2.2).
alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// A running state in registers. The instructions want it as the words (a b e f) and (c d g h).
struct Rounds {
  __m128i abef, cdgh;
};

IPCS_SHA inline Rounds load(const Sha256State& state) noexcept {
  const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
  const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  return {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}

IPCS_SHA inline void store(const Rounds& rounds, Sha256State& state) noexcept {
  const __m128i feba = _mm_shuffle_epi32(rounds.abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(rounds.cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
}

IPCS_SHA inline void add(Rounds& rounds, const Rounds& before) noexcept {
  rounds.abef = _mm_add_epi32(rounds.abef, before.abef);
  rounds.cdgh = _mm_add_epi32(rounds.cdgh, before.cdgh);
}

// Two rounds with the lower two of `words`.
IPCS_SHA inline void two_rounds(Rounds& rounds, __m128i words) noexcept {
  const __m128i abef = rounds.abef;
  rounds.abef = _mm_sha256rnds2_epu32(rounds.cdgh, abef, words);
  rounds.cdgh = abef;
}

template <int Group>
IPCS_SHA inline __m128i first_words(const uint8_t* block) noexcept {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  return _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + Group), big_endian);
}

template <int Group>
IPCS_SHA inline __m128i with_constants(__m128i words) noexcept {
  return _mm_add_epi32(words, _mm_load_si128(reinterpret_cast<const __m128i*>(kRound) + Group));
}

// The four words of group `Group` (of 16) with their constants: from the block at first, from the schedule afterwards.
// `all` holds the last sixteen words of the schedule.
template <int Group>
IPCS_SHA inline __m128i next_words(__m128i (&all)[4], const uint8_t* block) noexcept {
  __m128i& oldest = all[Group % 4];
  if constexpr (Group < 4) {
    oldest = first_words<Group>(block);
  } else {
    const __m128i last = all[(Group + 3) % 4];
    const __m128i seven_back = _mm_alignr_epi8(last, all[(Group + 2) % 4], 4);
    const __m128i partial = _mm_sha256msg1_epu32(oldest, all[(Group + 1) % 4]);
    oldest = _mm_sha256msg2_epu32(_mm_add_epi32(partial, seven_back), last);
  }
  return with_constants<Group>(oldest);
}

template <int Group>
IPCS_SHA inline void rounds_of_one(Rounds& a, __m128i (&all)[4], const uint8_t* block) noexcept {
  const __m128i words = next_words<Group>(all, block);
  two_rounds(a, words);
  two_rounds(a, _mm_shuffle_epi32(words, 0x0e));
  if constexpr (Group < 15) rounds_of_one<Group + 1>(a, all, block);
}

template <int Group>
IPCS_SHA inline void rounds_of_two(Rounds& a, __m128i (&a_all)[4], const uint8_t* a_block, Rounds& b,
                                   __m128i (&b_all)[4], const uint8_t* b_block) noexcept {
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

Compression sha_instructions() noexcept {
  return {nullptr, nullptr};
}

}  // namespace ipcs::ipld

#endif
