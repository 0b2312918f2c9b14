// SHA-256 with the SHA instructions of x86, one or two streams at a time.
#include "ipld/sha256_blocks.hpp"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

namespace ipcs::ipld {
namespace {

#define IPCS_SHA __attribute__((target("sha,sse4.1,ssse3")))

alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// A stream in registers. The instructions want the state as the words (a b e f) and (c d g h).
struct Lane {
  __m128i abef, cdgh;
  __m128i abef_before, cdgh_before;
  __m128i words[4];  // the last 16 of the message schedule, four in each
};

IPCS_SHA inline void load(Lane& lane, const Sha256State& state) noexcept {
  const __m128i dcba = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data()));
  const __m128i hgfe = _mm_loadu_si128(reinterpret_cast<const __m128i*>(state.data() + 4));
  const __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1b);
  lane.abef = _mm_alignr_epi8(cdab, efgh, 8);
  lane.cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

IPCS_SHA inline void store(const Lane& lane, Sha256State& state) noexcept {
  const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data()), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state.data() + 4), _mm_alignr_epi8(dchg, feba, 8));
}

// The four words of group `Group` (of 16): from the block at first, from the schedule afterwards.
template <int Group>
IPCS_SHA inline __m128i next_words(Lane& lane, const uint8_t* block) noexcept {
  __m128i& oldest = lane.words[Group % 4];
  if constexpr (Group < 4) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    oldest = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + Group), big_endian);
  } else {
    const __m128i last = lane.words[(Group + 3) % 4];
    const __m128i seven_back = _mm_alignr_epi8(last, lane.words[(Group + 2) % 4], 4);
    const __m128i partial = _mm_sha256msg1_epu32(oldest, lane.words[(Group + 1) % 4]);
    oldest = _mm_sha256msg2_epu32(_mm_add_epi32(partial, seven_back), last);
  }
  return _mm_add_epi32(oldest, _mm_load_si128(reinterpret_cast<const __m128i*>(kRound) + Group));
}

IPCS_SHA inline void two_rounds(Lane& lane, __m128i words) noexcept {
  const __m128i abef = lane.abef;
  lane.abef = _mm_sha256rnds2_epu32(lane.cdgh, abef, words);
  lane.cdgh = abef;
}

template <int Group, int Lanes>
IPCS_SHA inline void four_rounds(Lane (&lanes)[Lanes], const uint8_t* const (&blocks)[Lanes]) noexcept {
  __m128i words[Lanes];
  for (int i = 0; i < Lanes; ++i) words[i] = next_words<Group>(lanes[i], blocks[i]);
  for (int i = 0; i < Lanes; ++i) two_rounds(lanes[i], words[i]);
  for (int i = 0; i < Lanes; ++i) two_rounds(lanes[i], _mm_shuffle_epi32(words[i], 0x0e));
}

template <int Lanes>
IPCS_SHA inline void all_rounds(Lane (&lanes)[Lanes], const uint8_t* const (&blocks)[Lanes]) noexcept {
  four_rounds<0>(lanes, blocks);
  four_rounds<1>(lanes, blocks);
  four_rounds<2>(lanes, blocks);
  four_rounds<3>(lanes, blocks);
  four_rounds<4>(lanes, blocks);
  four_rounds<5>(lanes, blocks);
  four_rounds<6>(lanes, blocks);
  four_rounds<7>(lanes, blocks);
  four_rounds<8>(lanes, blocks);
  four_rounds<9>(lanes, blocks);
  four_rounds<10>(lanes, blocks);
  four_rounds<11>(lanes, blocks);
  four_rounds<12>(lanes, blocks);
  four_rounds<13>(lanes, blocks);
  four_rounds<14>(lanes, blocks);
  four_rounds<15>(lanes, blocks);
}

template <int Lanes>
IPCS_SHA inline void compress(Sha256State* const (&states)[Lanes], const uint8_t* (&blocks)[Lanes],
                              size_t count) noexcept {
  Lane lanes[Lanes];
  for (int i = 0; i < Lanes; ++i) load(lanes[i], *states[i]);
  for (; count > 0; --count) {
    for (Lane& lane : lanes) {
      lane.abef_before = lane.abef;
      lane.cdgh_before = lane.cdgh;
    }
    all_rounds(lanes, blocks);
    for (int i = 0; i < Lanes; ++i) {
      lanes[i].abef = _mm_add_epi32(lanes[i].abef, lanes[i].abef_before);
      lanes[i].cdgh = _mm_add_epi32(lanes[i].cdgh, lanes[i].cdgh_before);
      blocks[i] += 64;
    }
  }
  for (int i = 0; i < Lanes; ++i) store(lanes[i], *states[i]);
}

IPCS_SHA void compress_one(Sha256State& state, const uint8_t* bytes, size_t blocks) noexcept {
  const uint8_t* streams[] = {bytes};
  compress<1>({&state}, streams, blocks);
}

IPCS_SHA void compress_two(Sha256State& a, const uint8_t* a_bytes, Sha256State& b, const uint8_t* b_bytes,
                           size_t blocks) noexcept {
  const uint8_t* streams[] = {a_bytes, b_bytes};
  compress<2>({&a, &b}, streams, blocks);
}

#undef IPCS_SHA

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
