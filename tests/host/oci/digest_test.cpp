// Digests: published vectors, every kind of text that is none, and hashing that goes on after a result.
#include "oci/digest.hpp"

#include <catch2/catch.hpp>
#include <unordered_set>
#include <vector>

#include "ipcs/error.hpp"

using ipcs::Code;
using ipcs::Error;
using ipcs::oci::Algorithm;
using ipcs::oci::Digest;
using ipcs::oci::Hasher;

namespace {

struct Vector {
  Algorithm algorithm;
  std::string bytes;
  std::string digest;
};

// FIPS 180-2 and NIST's CSRC examples.
const std::vector<Vector>& vectors() {
  static const std::string kTwoBlocks =
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrst"
      "u";
  static const std::vector<Vector> kVectors{
      {Algorithm::kSha256, "", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {Algorithm::kSha256, "abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {Algorithm::kSha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {Algorithm::kSha256, std::string(1'000'000, 'a'),
       "sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
      {Algorithm::kSha384, "",
       "sha384:38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"},
      {Algorithm::kSha384, "abc",
       "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
      {Algorithm::kSha384, kTwoBlocks,
       "sha384:09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039"},
      {Algorithm::kSha512, "",
       "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f"
       "63b931bd47417a81a538327af927da3e"},
      {Algorithm::kSha512, "abc",
       "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
       "454d4423643ce80e2a9ac94fa54ca49f"},
      {Algorithm::kSha512, kTwoBlocks,
       "sha512:8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018501d289e4900f7e4331b99dec4b5433a"
       "c7d329eeb6dd26545e96e55b874be909"},
  };
  return kVectors;
}

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string refusal(std::string_view text) {
  CHECK_FALSE(Digest::try_parse(text));
  try {
    Digest::parse(text);
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("digests of known bytes") {
  for (const Vector& vector : vectors()) {
    INFO(vector.digest);
    const Digest digest = Digest::of(vector.bytes, vector.algorithm);
    CHECK(digest.to_string() == vector.digest);
    CHECK(digest.algorithm() == vector.algorithm);
    CHECK(digest == Digest::parse(vector.digest));
    CHECK(digest == Digest::of(bytes_of(vector.bytes), vector.algorithm));
    CHECK(std::string(to_string(digest.algorithm())) + ":" + std::string(digest.hex()) == vector.digest);
  }
  CHECK(Digest::of("abc") == Digest::of("abc", Algorithm::kSha256));
}

TEST_CASE("texts that are digests") {
  for (const Vector& vector : vectors()) {
    INFO(vector.digest);
    const std::optional<Digest> digest = Digest::try_parse(vector.digest);
    REQUIRE(digest);
    CHECK(digest->to_string() == vector.digest);
    CHECK(digest->algorithm() == vector.algorithm);
  }
}

TEST_CASE("texts that are no digests") {
  const std::string hex(64, 'a');
  const std::string good = "sha256:" + hex;
  REQUIRE(Digest::try_parse(good));
  std::vector<std::string> bad{
      "", ":", "sha256", "sha256:", ":" + hex, hex, "foo", "sha256" + hex, "sha256-" + hex, "sha256=" + hex,
      // case, other algorithms, things around it
      "SHA256:" + hex, "Sha256:" + hex, "sha256:" + std::string(64, 'A'), "md5:" + std::string(32, 'a'),
      "sha1:" + std::string(40, 'a'), "sha512-256:" + hex, "blake3:" + hex, "sha256+b64:" + hex, " " + good, good + " ",
      good + "\n", good + "/", good + ":", "sha256::" + hex, "sha256:sha256:" + hex, "sha256: " + hex, "sha256 :" + hex,
      "sha25:" + hex, "sha2566:" + hex, "../sha256:" + hex, "sha256:../" + std::string(61, 'a'),
      // the length of another algorithm
      "sha256:" + std::string(96, 'a'), "sha256:" + std::string(128, 'a'), "sha384:" + hex,
      "sha384:" + std::string(128, 'a'), "sha512:" + hex, "sha512:" + std::string(96, 'a'), std::string(100'000, 'a'),
      "sha256:" + std::string(100'000, 'a')};
  for (const auto& [name, digits] : {std::pair("sha256:", 64), {"sha384:", 96}, {"sha512:", 128}}) {
    bad.push_back(name + std::string(digits - 1, '0'));
    bad.push_back(name + std::string(digits + 1, '0'));
    CHECK(Digest::try_parse(name + std::string(digits, '0')));
  }
  // Any digit replaced by anything that is none, NUL included.
  for (const size_t at : {size_t(7), size_t(40), good.size() - 1}) {
    for (int c = 0; c < 256; ++c) {
      std::string text = good;
      text[at] = static_cast<char>(c);
      const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      if (digit) {
        CHECK(Digest::try_parse(text));
      } else {
        bad.push_back(text);
      }
    }
  }
  bad.push_back(good + std::string(1, '\0'));
  bad.push_back(std::string(1, '\0') + good);
  bad.push_back(std::string("sha256\0:", 8) + hex);
  for (const std::string& text : bad) {
    INFO(Catch::StringMaker<std::string>::convert(text.substr(0, 200)));
    CHECK_THAT(refusal(text), Catch::Contains("is not a digest"));
  }
}

TEST_CASE("the message names the text in one line of bounded length") {
  CHECK(refusal("foo") == "\"foo\" is not a digest (want e.g. sha256:<64 lower-case hex digits>)");
  CHECK_THAT(refusal(std::string("a\n\0\x7f\xff", 5)), Catch::StartsWith("\"a????\" is not"));
  CHECK(refusal(std::string(1 << 20, 'x')).size() < 300);
}

TEST_CASE("digests are ordered and hashed by their text") {
  const Digest a = Digest::of("a"), b = Digest::of("b"), c = Digest::of("a", Algorithm::kSha512);
  CHECK(a != b);
  CHECK(a != c);
  CHECK((a < b) == (a.to_string() < b.to_string()));
  CHECK((a < c) == (a.to_string() < c.to_string()));
  CHECK(std::unordered_set<Digest>{a, b, c, Digest::of("a")}.size() == 3);
  Digest copy = b;
  copy = a;
  CHECK(copy == a);
  CHECK(b == Digest::of("b"));
}

TEST_CASE("a hasher goes on after a result") {
  for (const Vector& vector : vectors()) {
    INFO(vector.digest);
    for (const size_t step : {1, 7, 64, 4096}) {
      if (vector.bytes.size() / step > 20'000) continue;  // seconds under sanitizers, and nothing new
      Hasher hasher(vector.algorithm);
      CHECK(hasher.algorithm() == vector.algorithm);
      size_t done = 0;
      while (done < vector.bytes.size()) {
        const size_t count = std::min(step, vector.bytes.size() - done);
        hasher.update(bytes_of(vector.bytes).subspan(done, count));
        done += count;
        if (done % 1024 < step) CHECK(hasher.digest() == Digest::of(vector.bytes.substr(0, done), vector.algorithm));
      }
      CHECK(hasher.digest().to_string() == vector.digest);
      CHECK(hasher.digest().to_string() == vector.digest);
    }
  }
}

TEST_CASE("a hasher can be emptied, moved, and fed nothing") {
  Hasher hasher;
  hasher.update({});
  CHECK(hasher.digest() == Digest::of(""));
  const std::string text = "abc";
  hasher.update(bytes_of(text));
  Hasher moved = std::move(hasher);
  moved.update({});
  CHECK(moved.digest() == Digest::of("abc"));
  hasher = Hasher(Algorithm::kSha512);
  CHECK(hasher.digest() == Digest::of("", Algorithm::kSha512));
  moved.reset();
  moved.update(bytes_of(text).first(2));
  CHECK(moved.digest() == Digest::of("ab"));
}
