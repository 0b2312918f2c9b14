// Layers of every packing, made anew: what comes out is their tar in frames, or one line that says what is wrong.
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>

#include "host/image/dag_store.hpp"
#include "host/image/tars.hpp"
#include "host/oci/sample.hpp"
#include "image/recut.hpp"
#include "image/unpack.hpp"

using namespace ipcs;
using namespace ipcs::image;
using oci::test::Memory;
using oci::test::noise;
using test::Packing;
using Daemon = ipcs::image::Store;

namespace {

// A blob that comes in pieces of `piece` bytes.
class Pieces final : public oci::BlobSource {
 public:
  Pieces(std::string bytes, size_t piece) : bytes_(std::move(bytes)), piece_(piece) {}
  void read(const oci::Descriptor&, uint64_t, const oci::Sink& sink, const oci::Call&) override {
    for (size_t at = 0; at < bytes_.size(); at += piece_) {
      const std::string_view piece = std::string_view(bytes_).substr(at, piece_);
      sink({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()});
    }
  }
  std::string name() const override { return "pieces"; }

 private:
  const std::string bytes_;
  const size_t piece_;
};

std::string unpacked(const std::string& blob, size_t piece = 100'000, std::vector<uint64_t>* progress = nullptr) {
  Pieces source(blob, piece);
  LayerTar tar(source, {"", oci::Digest::of(blob), blob.size()}, oci::Call::within(std::chrono::seconds(60)),
               [&](uint64_t taken) {
                 if (progress != nullptr) progress->push_back(taken);
               });
  std::string out;
  for (auto bytes = tar.next(70'000); !bytes.empty(); bytes = tar.next(70'000)) out.append(bytes.begin(), bytes.end());
  CHECK(tar.next(1).empty());
  return out;
}

// Every byte up to the next 'E', or a thousand.
class EveryE final : public Cutter {
 public:
  size_t max_size() const noexcept override { return 1000; }
  size_t cut(std::span<const uint8_t> bytes) override {
    const size_t most = std::min<size_t>(bytes.size(), 1000);
    for (size_t i = 0; i < most; ++i) {
      if (bytes[i] == '!') throw Error(Code::kInvalidArgument, "no tar: there is a !");
      if (bytes[i] == 'E') return i + 1;
    }
    return most;
  }
};

std::string unframed(const std::string& blob, size_t& frames) {
  std::string out;
  frames = 0;
  for (size_t at = 0; at < blob.size(); ++frames) {
    const size_t size = ZSTD_findFrameCompressedSize(&blob[at], blob.size() - at);
    REQUIRE_FALSE(ZSTD_isError(size));
    std::string content(ZSTD_getFrameContentSize(&blob[at], size), '\0');
    REQUIRE(ZSTD_decompress(content.data(), content.size(), &blob[at], size) == content.size());
    out += content;
    at += size;
  }
  return out;
}

struct Recutting {
  test::Node node;
  Memory source;
  Daemon store{node.peer, node.control, "test", node.call};
  std::atomic<uint64_t> reported{0};

  Recut operator()(const std::string& layer, const std::string& diff_id, bool uncompressed = false) {
    const auto config = source.add(oci::kOciConfig, R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")" +
                                                        diff_id + R"("]}})");
    const auto blob = source.add(oci::kOciLayerGzip, layer);
    const auto root = source.add(oci::kOciManifest, oci::test::manifest_text(config, {blob}));
    oci::CopyOptions copying;
    copying.platforms = oci::PlatformChoice::everything();
    const oci::Image image = oci::copy(source, root, store, "", copying, node.call);
    RecutOptions options;
    options.cutter = [] { return std::make_unique<EveryE>(); };
    options.uncompressed = uncompressed;
    options.report = [&](const oci::Descriptor& what, uint64_t done, const std::string&) {
      CHECK(what == blob);
      reported = done;
    };
    return recut(store, image, options, node.call);
  }
  std::string bytes_of(const oci::Descriptor& blob) { return oci::read_whole(store, blob, 10 << 20, node.call); }
};

std::string failure_of(const std::string& layer, const std::string& diff_id, Code code) {
  Recutting recutting;
  try {
    recutting(layer, diff_id);
  } catch (const Error& e) {
    CHECK(e.code() == code);
    const std::string begin = "layer " + oci::Digest::of(layer).to_string() + ": ", text = e.what();
    CHECK_THAT(text, Catch::StartsWith(begin));
    return text.substr(std::min(begin.size(), text.size()));
  }
  return "";
}

std::string made_tar() {
  std::string text = "onE two thrEE four " + noise(400'000, 1);
  std::replace(text.begin(), text.end(), '!', '.');
  return text;
}
const std::string kTar = made_tar();
const std::string kDiffId = oci::Digest::of(kTar).to_string();

}  // namespace

TEST_CASE("a layer's tar, whatever it is packed with, in however many parts and pieces") {
  const size_t half = kTar.size() / 2;
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  std::vector<std::string> layers{kTar, test::packed(kTar, Packing::kGzip) + std::string(700, '\0')};
  for (const Packing packing : {Packing::kGzip, Packing::kZstd}) {
    layers.push_back(test::packed(kTar, packing));
    layers.push_back(test::packed(kTar.substr(0, half), packing) + test::packed("", packing) + test::packed(kTar.substr(half), packing));
  }
  layers.push_back(skippable + test::packed(kTar, Packing::kZstd) + skippable);
  for (size_t i = 0; i < layers.size(); ++i) {
    for (const size_t piece : {size_t{3}, size_t{4096}, layers[i].size()}) {
      INFO("layer " << i << " in pieces of " << piece);
      std::vector<uint64_t> progress;
      const bool same = unpacked(layers[i], piece, &progress) == kTar;
      CHECK(same);
      REQUIRE_FALSE(progress.empty());
      CHECK(progress.back() == layers[i].size());
      CHECK(std::is_sorted(progress.begin(), progress.end()));
    }
  }
  CHECK(unpacked("").empty());
  CHECK(unpacked("\x1f\x8b") == "\x1f\x8b");
  CHECK(unpacked(test::packed("", Packing::kGzip), 1).empty());
}

TEST_CASE("a packed layer that is cut anywhere, damaged or goes on with other bytes is refused") {
  const std::string text = kTar.substr(0, 3000);
  for (const Packing packing : {Packing::kGzip, Packing::kZstd}) {
    const std::string packed = test::packed(text, packing);
    const std::string two = packed + packed;
    for (size_t size = 11; size < two.size(); size += size < 40 || two.size() - size < 40 ? 1 : 97) {
      if (size == packed.size()) continue;
      INFO("first " << size << " of two times " << packed.size());
      CHECK(test::code_of([&] { unpacked(two.substr(0, size)); }) == Code::kDataLoss);
    }
    CHECK(test::code_of([&] { unpacked(packed + "garbage"); }) == Code::kDataLoss);
  }
  const std::string packed = test::packed(text, Packing::kGzip);
  CHECK(test::code_of([&] { unpacked(packed + std::string(100, '\0') + packed); }) == Code::kDataLoss);
  std::string damaged = packed;
  damaged[damaged.size() - 6] ^= 1;  // of the checksum
  CHECK(test::code_of([&] { unpacked(damaged); }) == Code::kDataLoss);
}

TEST_CASE("layers of every packing become the same frames, where the cutter says") {
  std::optional<oci::Descriptor> first;
  const size_t half = kTar.size() / 2;
  for (const std::string& layer :
       {kTar, test::packed(kTar.substr(0, half), Packing::kGzip) + test::packed(kTar.substr(half), Packing::kGzip),
        test::packed(kTar.substr(0, half), Packing::kZstd) + test::packed(kTar.substr(half), Packing::kZstd)}) {
    Recutting recutting;
    const Recut made = recutting(layer, kDiffId);
    REQUIRE(made.layers.size() == 1);
    const oci::Descriptor& after = made.layers[0].after;
    CHECK(made.layers[0].tar_size == kTar.size());
    CHECK(recutting.reported == layer.size());
    CHECK(after.media_type() == oci::kOciLayerZstd);
    size_t frames = 0;
    const bool same = unframed(recutting.bytes_of(after), frames) == kTar;
    CHECK(same);
    CHECK(frames == made.layers[0].frames);
    CHECK(frames > kTar.size() / 1000);
    CHECK(made.image.root().manifest->bytes().find(after.digest().to_string()) != std::string::npos);
    CHECK(made.image.root().manifest->bytes().find(frames_recipe()) != std::string::npos);
    if (first) CHECK(after == *first);
    first = after;
  }
}

TEST_CASE("uncompressed: the tar itself, which its diff id names") {
  Recutting recutting;
  const Recut made = recutting(test::packed(kTar, Packing::kZstd), kDiffId, true);
  CHECK(made.layers.at(0).after.media_type() == oci::kOciLayer);
  CHECK(made.layers.at(0).after.digest().to_string() == kDiffId);
  CHECK(made.layers.at(0).frames == 0);
  const bool same = recutting.bytes_of(made.layers[0].after) == kTar;
  CHECK(same);
}

TEST_CASE("an empty layer is one frame of nothing") {
  const std::string empty = oci::Digest::of("").to_string();
  Recutting recutting;
  const Recut made = recutting(test::packed("", Packing::kGzip), empty);
  CHECK(made.layers.at(0).tar_size == 0);
  CHECK(made.layers.at(0).frames == 1);
  size_t frames = 0;
  CHECK(unframed(recutting.bytes_of(made.layers[0].after), frames).empty());
  CHECK(frames == 1);
}

TEST_CASE("what can't be made anew is said in one line that names the layer") {
  const std::string gzip = test::packed(kTar, Packing::kGzip), other = oci::Digest::of("another").to_string();
  CHECK(failure_of(gzip, other, Code::kDataLoss) == "its tar is " + kDiffId + ", which the config calls " + other);
  CHECK(failure_of(gzip.substr(0, gzip.size() - 1), kDiffId, Code::kDataLoss) == "the gzip stream is cut off");
  CHECK(failure_of(gzip + "x", kDiffId, Code::kDataLoss) == "the gzip stream has other bytes behind its end");
  CHECK_THAT(failure_of(test::packed(kTar, Packing::kZstd) + "garbage", kDiffId, Code::kDataLoss),
             Catch::StartsWith("the zstd stream is damaged: "));
  CHECK(failure_of("no tar !", oci::Digest::of("no tar !").to_string(), Code::kInvalidArgument) == "no tar: there is a !");
}
