// Streams through decompressor and pipeline: sizes, digests, limits, failures, and readers that stop early.
#include "diff/pipeline.hpp"

#include <catch2/catch.hpp>

#include "host/diff/memory_source.hpp"
#include "ipcs/error.hpp"
#include "oci/digest.hpp"

using namespace ipcs;
using namespace ipcs::diff;

namespace {

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

// Fails after so many bytes.
class Failing final : public Decompressor {
 public:
  explicit Failing(size_t good) : good_(good) {}
  size_t read(std::span<uint8_t> out) override {
    if (good_ < out.size()) throw Error(Code::kDataLoss, "damaged");
    good_ -= out.size();
    return out.size();
  }

 private:
  size_t good_;
};

}  // namespace

TEST_CASE("all bytes come, in their order, with their digest") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{256 * 1024}, size_t{256 * 1024 + 1}, size_t{512 * 1024},
                            size_t{512 * 1024 + 1}, size_t{20 << 20}}) {
    const std::string bytes = pattern(size);
    MemorySource source(bytes, 100'000);
    const auto plain = make_decompressor(Compression::kNone, source);
    Pipeline pipeline(*plain, 0);
    std::string got;
    for (auto piece = pipeline.next(300'000); !piece.empty(); piece = pipeline.next(300'000))
      got.append(piece.begin(), piece.end());
    const StreamTotals totals = pipeline.finish();
    CHECK(got == bytes);
    CHECK(totals.size == size);
    CHECK(totals.digest == oci::Digest::of(bytes).to_string());
  }
}

TEST_CASE("what nobody reads is hashed all the same") {
  const std::string bytes = pattern(12 << 20);
  MemorySource source(bytes);
  const auto plain = make_decompressor(Compression::kNone, source);
  Pipeline pipeline(*plain, 0);
  CHECK(pipeline.next(10).size() == 10);
  CHECK(pipeline.finish().digest == oci::Digest::of(bytes).to_string());
}

TEST_CASE("a stream may have as many bytes as the limit says, and no more") {
  const std::string bytes = pattern(3'000'000);
  for (const uint64_t limit : {uint64_t{3'000'000}, uint64_t{2'999'999}}) {
    MemorySource source(bytes);
    const auto plain = make_decompressor(Compression::kNone, source);
    Pipeline pipeline(*plain, limit);
    if (limit == bytes.size()) {
      CHECK(pipeline.finish().size == bytes.size());
    } else {
      CHECK_THROWS_AS(pipeline.finish(), Error);
    }
  }
}

TEST_CASE("a failure reaches the reader, after what was good") {
  Failing failing(5 << 20);
  Pipeline pipeline(failing, 0);
  size_t got = 0;
  try {
    for (auto piece = pipeline.next(1 << 20); !piece.empty(); piece = pipeline.next(1 << 20)) got += piece.size();
    FAIL("no failure");
  } catch (const Error& e) {
    CHECK(e.code() == Code::kDataLoss);
  }
  CHECK(got == 5 << 20);
}

TEST_CASE("a reader that goes away waits for nobody") {
  const std::string bytes = pattern(64 << 20);
  MemorySource source(bytes);
  const auto plain = make_decompressor(Compression::kNone, source);
  Pipeline pipeline(*plain, 0);
  CHECK_FALSE(pipeline.next(1).empty());
}

TEST_CASE("streams that are cut or no streams") {
  for (const char* text : {"\x1f\x8b\x08", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 not deflate at all"}) {
    MemorySource source(text);
    const auto gzip = make_decompressor(Compression::kGzip, source);
    std::vector<uint8_t> out(100);
    CHECK_THROWS_AS(gzip->read(out), Error);
  }
  MemorySource source("\x28\xb5\x2f\xfd");
  const auto zstd = make_decompressor(Compression::kZstd, source);
  std::vector<uint8_t> out(100);
  CHECK_THROWS_AS(zstd->read(out), Error);
}
