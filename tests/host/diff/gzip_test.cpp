// gzip streams through whichever library this program was linked with: EXPECTED_LIBRARY names it.
#include "diff/gzip.hpp"

#include <zlib.h>

#include <catch2/catch.hpp>

#include "host/diff/memory_source.hpp"
#include "ipcs/error.hpp"

using namespace ipcs;
using namespace ipcs::diff;

namespace {

std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525 + 1013904223;
    text[i] = static_cast<char>(state >> (i % 4096 < 2048 ? 24 : 30));  // half of it hardly compresses
  }
  return text;
}

enum Header { kBare, kFull };

// One member; a full header has all that one can have, also a checksum of itself.
std::string zipped(std::string_view text, int level = 6, Header kind = kBare) {
  z_stream stream{};
  REQUIRE(::deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  gz_header header{};
  std::string extra = "extra", name = "name.tar", comment = "comment";
  if (kind != kBare) {
    header.extra = reinterpret_cast<Bytef*>(extra.data());
    header.extra_len = static_cast<uInt>(extra.size());
    header.name = reinterpret_cast<Bytef*>(name.data());
    header.comment = reinterpret_cast<Bytef*>(comment.data());
    header.hcrc = 1;
    REQUIRE(::deflateSetHeader(&stream, &header) == Z_OK);
  }
  std::string out(::deflateBound(&stream, text.size()) + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::string unzipped(std::string_view bytes, size_t in_piece = 1 << 20, size_t out_piece = 1 << 16) {
  MemorySource source(bytes, in_piece);
  const auto gzip = make_gzip(source);
  std::string text, piece(out_piece, '\0');
  for (;;) {
    const size_t count = gzip->read({reinterpret_cast<uint8_t*>(piece.data()), piece.size()});
    text.append(piece, 0, count);
    if (count < piece.size()) return text;
  }
}

Code refusal(std::string_view bytes) {
  try {
    unzipped(bytes);
  } catch (const Error& e) {
    return e.code();
  }
  return Code::kOk;
}

}  // namespace

TEST_CASE("the library is the one that is meant") { CHECK(std::string(gzip_library()) == EXPECTED_LIBRARY); }

TEST_CASE("what was compressed comes back, in pieces of any size") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{3'000'001}}) {
    const std::string text = pattern(size);
    for (const int level : {0, 1, 9}) {
      const std::string bytes = zipped(text, level, level == 9 ? kFull : kBare);
      CHECK(unzipped(bytes) == text);
      CHECK(unzipped(bytes, 4099, 1021) == text);
    }
  }
  const std::string text = pattern(5000);
  CHECK(unzipped(zipped(text, 6, kFull), 1, 7) == text);
}

TEST_CASE("members follow one another, and zeros may follow the last") {
  const std::string one = pattern(100'000), two = pattern(70'000);
  const std::string both = zipped(one) + zipped("") + zipped(two, 9, kFull);
  for (const size_t piece : {size_t{1}, size_t{4096}, size_t{1 << 20}}) {
    CHECK(unzipped(both, piece) == one + two);
    CHECK(unzipped(both + std::string(700, '\0'), piece) == one + two);
  }
  for (const std::string_view behind : {std::string_view("noise"), std::string_view("\x1f\x8b", 2), std::string_view("\0\0x", 3)})
    CHECK(refusal(both + std::string(behind)) == Code::kDataLoss);
  CHECK(refusal(both + std::string(5, '\0') + zipped(two)) == Code::kDataLoss);
}

TEST_CASE("a stream that is cut off or damaged is an error") {
  const std::string text = pattern(20'000), bytes = zipped(text, 6, kFull);
  for (size_t length = 0; length < bytes.size(); length += length < 100 || length + 30 > bytes.size() ? 1 : 97) {
    CAPTURE(length);
    CHECK(refusal(std::string_view(bytes).substr(0, length)) == Code::kDataLoss);
  }
  for (const size_t behind : {size_t{1}, size_t{5}}) {  // length and checksum
    std::string damaged = bytes;
    damaged[damaged.size() - behind] ^= 1;
    CHECK(refusal(damaged) == Code::kDataLoss);
  }
  for (size_t at = 0; at < bytes.size(); at += 211) {
    std::string damaged = bytes;
    damaged[at] ^= 0x41;
    CAPTURE(at);
    std::string got = text;
    Code code = Code::kDataLoss;
    try {
      got = unzipped(damaged);  // all the same where it was a byte of the name, say
    } catch (const Error& e) {
      code = e.code();
    }
    CHECK(code == Code::kDataLoss);
    CHECK(got == text);
  }
}
