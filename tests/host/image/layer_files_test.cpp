// The files of a layer, whatever it is packed with and wherever it is cut.
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "host/content/world.hpp"
#include "host/image/tars.hpp"
#include "host/oci/sample.hpp"
#include "image/blob_stream.hpp"
#include "image/layer_files.hpp"

using namespace ipcs;
using namespace ipcs::image;
using oci::test::Memory;
using oci::test::noise;
using test::Packing;

namespace {

using Files = std::vector<std::pair<oci::Digest, uint64_t>>;

Files files_of(const std::string& layer) {
  Memory memory;
  Files files;
  list_layer_files(
      memory, memory.add(oci::kOciLayer, layer), [&](const oci::Digest& digest, uint64_t size) { files.emplace_back(digest, size); },
      oci::Call::within(std::chrono::seconds(60)));
  return files;
}

// One entry of an ustar archive, as it lies in a file.
std::string entry(char type, const std::string& name, const std::string& link = "", const std::string& content = "") {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& text) { header.replace(at, text.size(), text); };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  put(124, size);
  put(136, "00000000000");
  put(148, "        ");
  header[156] = type;
  put(157, link);
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const unsigned char c : header) sum += c;
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  put(148, std::string(text, 7));
  std::string padded = content;
  padded.resize((content.size() + 511) / 512 * 512);
  return header + padded;
}
const std::string kEnd(1024, '\0');

}  // namespace

TEST_CASE("the files of a layer, plain and compressed") {
  const std::string large = noise(400'000, 1);
  const std::string tar = test::tar({{"bin/large", large}, {"etc/empty", ""}, {std::string(300, 'n'), "small"}});
  const Files expected{{oci::Digest::of(large), large.size()}, {oci::Digest::of(""), 0}, {oci::Digest::of("small"), 5}};
  CHECK(files_of(tar) == expected);
  CHECK(files_of(test::packed(tar, Packing::kGzip)) == expected);
  CHECK(files_of(test::packed(tar, Packing::kZstd)) == expected);
  // Layers are also written as several members or frames, one behind the other.
  const size_t half = tar.size() / 2;
  for (const Packing packing : {Packing::kGzip, Packing::kZstd})
    CHECK(files_of(test::packed(tar.substr(0, half), packing) + test::packed(tar.substr(half), packing)) == expected);
}

TEST_CASE("what is no regular file has no content") {
  CHECK(files_of(entry('5', "dir/") + entry('0', "dir/file", "", "content") + entry('1', "hard", "dir/file") +
                 entry('2', "soft", "file") + entry('3', "null") + entry('6', "fifo") + kEnd) ==
        Files{{oci::Digest::of("content"), 7}});
  CHECK(files_of(kEnd).empty());
}

TEST_CASE("of a sparse file the holes count, in every format that GNU tar has") {
  const test::TempDir dir;
  const std::string path = dir / "holes";
  const auto read = [](FILE* file) {
    std::string bytes;
    std::array<char, 65536> piece;
    while (const size_t count = std::fread(piece.data(), 1, piece.size(), file)) bytes.append(piece.data(), count);
    return bytes;
  };
  {
    std::ofstream file(path, std::ios::binary);
    for (int i = 0; i < 60; ++i) {
      file.seekp(i * 65536);
      file << "data";
    }
  }
  std::filesystem::resize_file(path, 9 << 20);
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  const Files expected{{oci::Digest::of(content), content.size()}};
  for (const std::string format : {"gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix --sparse-version=1.0"}) {
    INFO(format);
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
        ::popen(("tar -cSf - -C " + (dir / "") + " --format=" + format + " holes").c_str(), "r"), &::pclose);
    REQUIRE(pipe);
    const std::string tar = read(pipe.get());
    REQUIRE(tar.size() > 10'000);
    CHECK(tar.size() < 1 << 20);
    CHECK(files_of(tar) == expected);
    CHECK(files_of(test::packed(tar, Packing::kZstd)) == expected);
  }
}

TEST_CASE("a layer that is no tar, or ends within one") {
  const std::string tar = entry('0', "file", "", noise(3000, 2)) + kEnd;
  for (const std::string& layer : {std::string("no tar at all"), noise(5000, 3), tar.substr(0, 1500), tar.substr(0, 300),
                                   test::packed(tar, Packing::kGzip).substr(0, 2000)}) {
    CAPTURE(layer.size());
    CHECK_THROWS_WITH(files_of(layer), Catch::StartsWith("layer " + oci::Digest::of(layer).to_string()));
  }
}

TEST_CASE("wrong bytes of a source are an error, also behind the tar's end") {
  Memory memory;
  const std::string tar = entry('0', "file", "", "x") + kEnd;
  const auto layer = memory.add(oci::kOciLayer, tar);
  struct Broken : oci::BlobSource {
    explicit Broken(Memory& m) : memory(m) {}
    void read(const oci::Descriptor& blob, uint64_t from, const oci::Sink& sink, const oci::Call& call) override {
      memory.read(blob, from, sink, call);
      throw Error(Code::kDataLoss, "the source says that these were wrong bytes");
    }
    std::string name() const override { return "broken"; }
    Memory& memory;
  } broken{memory};
  const auto call = oci::Call::within(std::chrono::seconds(60));
  CHECK_THROWS_WITH(list_layer_files(broken, layer, [](const oci::Digest&, uint64_t) {}, call), Catch::Contains("wrong bytes"));
}

TEST_CASE("a stream that nobody reads to its end ends all the same") {
  Memory memory;
  const auto blob = memory.add("", noise(1'000'000, 4));
  const auto call = oci::Call::within(std::chrono::seconds(60));
  std::string all;
  {
    BlobStream stream(memory, blob, call);
    for (std::string piece; !(piece = stream.next()).empty();) all += piece;
    CHECK(stream.next().empty());
  }
  CHECK(oci::Digest::of(all) == blob.digest());
  BlobStream unread(memory, blob, call);
  BlobStream begun(memory, blob, call);
  CHECK(begun.next().size() == 100'000);
}
