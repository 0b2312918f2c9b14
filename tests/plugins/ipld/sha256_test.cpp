// SHA-256 against OpenSSL: every length around the blocks, every way of arriving, one stream and two.
#include "ipld/sha256.hpp"

#include <openssl/sha.h>
#include <catch2/catch.hpp>

#include "ipld/sha256_blocks.hpp"
#include "plugins/ipld/samples.hpp"

using namespace ipcs::ipld;
using namespace ipcs::ipld::samples;

namespace {

Sha256Digest expected(BytesView bytes) {
  Sha256Digest digest;
  ::SHA256(bytes.data(), bytes.size(), digest.data());
  return digest;
}

}  // namespace

TEST_CASE("sha256: all lengths up to four blocks, at all alignments") {
  const Bytes bytes = noise(600, 1);
  for (size_t size = 0; size <= 260; ++size) {
    for (size_t at = 0; at < 66; at += 5) {
      const BytesView part = BytesView(bytes).subspan(at, size);
      REQUIRE(Sha256::of(part) == expected(part));
    }
  }
}

TEST_CASE("sha256: random pieces") {
  const Bytes bytes = noise(100'000, 2);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Sha256 hash;
    size_t done = 0;
    in_pieces(bytes, seed % 2 == 0 ? 200 : 9000, seed, [&](BytesView piece) {
      hash.update(piece);
      done += piece.size();
      if (done % 7 == 0) CHECK(hash.digest() == expected(BytesView(bytes).first(done)));
    });
    CHECK(hash.size() == bytes.size());
    CHECK(hash.digest() == expected(bytes));
    CHECK(hash.digest() == expected(bytes));
  }
}

TEST_CASE("sha256: two streams of any lengths in any pieces") {
  const Bytes bytes = noise(40'000, 3);
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    Sha256 a, b;
    const size_t a_start = random.below(500), b_start = random.below(500);
    size_t a_size = 0, b_size = 0;
    for (int piece = 0; piece < 8; ++piece) {
      const size_t a_more = random.below(round % 3 == 0 ? 130 : 4000),
                   b_more = random.below(round % 3 == 1 ? 130 : 4000);
      Sha256::update_two(a, BytesView(bytes).subspan(a_start + a_size, a_more), b,
                         BytesView(bytes).subspan(b_start + b_size, b_more));
      a_size += a_more;
      b_size += b_more;
    }
    REQUIRE(a.digest() == expected(BytesView(bytes).subspan(a_start, a_size)));
    REQUIRE(b.digest() == expected(BytesView(bytes).subspan(b_start, b_size)));
  }
}

TEST_CASE("sha256: every way of compressing gives the same state") {
  const Bytes bytes = noise(64 * 40 + 64, 5);
  const Compression reference = openssl_compression();
  std::vector<Compression> others{openssl_compression()};
  for (const Compression& each : all_compressions()) others.push_back(each);
  if (has_sha_instructions()) CHECK(others.size() > 1);
  for (const Compression& each : others) {
    for (size_t blocks = 0; blocks <= 40; ++blocks) {
      for (const size_t shift : {size_t{0}, size_t{1}, size_t{14}, size_t{64}}) {
        Sha256State a{1, 2, 3, 4, 5, 6, 7, 8}, b{0xffffffff, 9, 8, 7, 6, 5, 4, 3};
        Sha256State a_expected = a, b_expected = b;
        reference.one(a_expected, bytes.data(), blocks);
        reference.one(b_expected, bytes.data() + shift, blocks);
        Sha256State a_alone = a;
        each.one(a_alone, bytes.data(), blocks);
        CHECK(a_alone == a_expected);
        each.two(a, bytes.data(), b, bytes.data() + shift, blocks);
        CHECK(a == a_expected);
        CHECK(b == b_expected);
      }
    }
  }
}
