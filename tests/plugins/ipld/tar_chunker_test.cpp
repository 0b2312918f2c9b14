// The chunkers "tar" and "zstd-frames": real tars of every odd kind, what is none, and frames.
#include <zstd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <random>
#include <set>

#include "ipcs/error.hpp"
#include "ipld/dag_builder.hpp"
#include "ipld/tar_chunker.hpp"
#include "ipld/zstd_frames.hpp"

namespace ipcs::ipld {
namespace {

// What Python's tarfile or GNU tar writes to standard output for a script.
Bytes output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), [](FILE* file) {
    CHECK(::pclose(file) == 0);
    return 0;
  });
  REQUIRE(pipe);
  Bytes bytes;
  std::array<uint8_t, 65536> piece;
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), pipe.get()))
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  return bytes;
}

Bytes python_tar(const std::string& format, const std::string& body) {
  return output_of("python3 -c '\nimport io, random, sys, tarfile\nt = tarfile.open(fileobj=sys.stdout.buffer, mode=\"w|\", format=tarfile." +
                   format +
                   ")\ndef add(name, size=0, **more):\n  i = tarfile.TarInfo(name); i.size = size\n"
                   "  for k, v in more.items(): setattr(i, k, v)\n"
                   "  t.addfile(i, io.BytesIO(random.Random(name).randbytes(size)))\n" +
                   body + "\nt.close()'");
}

std::vector<Bytes> chunks_of(BytesView bytes, std::unique_ptr<Chunker> chunker) {
  std::vector<Bytes> chunks;
  while (!bytes.empty()) {
    const size_t size = chunker->cut(bytes.first(std::min(bytes.size(), chunker->max_size())));
    REQUIRE(size > 0);
    REQUIRE(size <= kMaxChunk);
    chunks.emplace_back(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    bytes = bytes.subspan(size);
  }
  return chunks;
}
std::vector<Bytes> tar_chunks(BytesView tar) { return chunks_of(tar, std::make_unique<TarChunker>()); }

Bytes joined(const std::vector<Bytes>& chunks) {
  Bytes all;
  for (const Bytes& chunk : chunks) all.insert(all.end(), chunk.begin(), chunk.end());
  return all;
}

std::string refusal_of(BytesView tar) {
  try {
    tar_chunks(tar);
  } catch (const Error& e) {
    CHECK(e.code() == Code::kInvalidArgument);
    CHECK(std::string_view(e.what()).find('\n') == std::string_view::npos);
    return e.what();
  }
  return "";
}

Bytes frame_of(BytesView content, bool checksum = false, bool pledged = true) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, checksum ? 1 : 0);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, pledged ? 1 : 0);
  Bytes frame(ZSTD_compressBound(content.size()));
  frame.resize(ZSTD_compress2(context.get(), frame.data(), frame.size(), content.data(), content.size()));
  return frame;
}

const std::string kEveryKind =
    "add(\"d/\", type=tarfile.DIRTYPE); add(\"d/small\", 700); add(\"d/none\"); add(\"big\", 900_000); add(\"hard\", "
    "type=tarfile.LNKTYPE, linkname=\"big\"); add(\"soft\", type=tarfile.SYMTYPE, linkname=\"x\" * 150)\n"
    "add(\"null\", type=tarfile.CHRTYPE, devmajor=1, devminor=3); add(\"disk\", type=tarfile.BLKTYPE); add(\"pipe\", "
    "type=tarfile.FIFOTYPE)\n"
    "add(\"l\" * 90 + \"/\" + \"m\" * 300, 1000); add(\"after\", 513, uid=2**40 if t.format == tarfile.GNU_FORMAT else 7)\n"
    "for i in range(400): add(f\"many/{i}\", i * 37)\n";

}  // namespace

TEST_CASE("every kind of entry is kept, in every format") {
  for (const std::string format : {"GNU_FORMAT", "PAX_FORMAT"}) {
    const Bytes tar = python_tar(format, kEveryKind + "add(\"x\", 3, pax_headers={\"SCHILY.xattr.user.a\": \"é\" * 3000, \"path\": \"p\" * "
                                                      "400, \"GNU.sparse.major\": \"1\"} if t.format == tarfile.PAX_FORMAT else {})");
    const auto chunks = tar_chunks(tar);
    CHECK(joined(chunks) == tar);
    CHECK(chunks.size() > 10);
  }
  const Bytes old = python_tar("USTAR_FORMAT", "add(\"p\" * 100 + \"/\" + \"n\" * 90, 600); add(\"z\", 10)");
  CHECK(joined(tar_chunks(old)) == old);
}

TEST_CASE("GNU tar's sparse files in every form, and xattrs") {
  for (const std::string flags : {"--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
                                  "--format=posix --sparse-version=1.0 --xattrs", "--format=oldgnu"}) {
    INFO(flags);
    const Bytes tar = output_of(
        "d=$(mktemp -d) && cd $d && python3 -c 'f = open(\"holes\", \"wb\")\nfor i in range(60): f.seek(i * 65536); f.write(b\"data\")\n"
        "f.truncate(9 << 20)' && echo behind > z && ln z y && tar -cSf - " + flags + " holes y z; s=$?; rm -r $d; exit $s");
    CHECK(joined(tar_chunks(tar)) == tar);
    // The entry behind the sparse one was found: without it nothing says where its header is.
    CHECK_FALSE(refusal_of(BytesView(tar).first(tar.size() / 2 / 512 * 512 + 100)).empty());
  }
}

TEST_CASE("sizes in base 256 and of PAX records count") {
  Bytes tar = python_tar("GNU_FORMAT", "add(\"a\", 1000); add(\"b\", 5)");
  const auto resum = [&] {
    unsigned sum = 0;
    std::fill_n(tar.begin() + 148, 8, ' ');
    for (size_t i = 0; i < 512; ++i) sum += tar[i];
    std::snprintf(reinterpret_cast<char*>(&tar[148]), 8, "%06o", sum);
  };
  std::fill_n(tar.begin() + 124, 12, 0);
  tar[124] = 0x80, tar[134] = 1000 >> 8, tar[135] = 1000 & 255;
  resum();
  CHECK(joined(tar_chunks(tar)) == tar);
  tar[124] = 0xff;
  resum();
  CHECK(refusal_of(tar) == "no tar: at byte 0 a header has a bad size");
}

TEST_CASE("what is no tar, or a cut one, is refused in one line; ends that containerd takes are none") {
  const Bytes tar = python_tar("PAX_FORMAT", "add(\"a\", 1000); add(\"é\" * 200, 300_000); add(\"c\", 700)");
  const size_t end = joined(tar_chunks(tar)).size();
  REQUIRE(end == tar.size());
  size_t last = tar.size();
  while (tar[last - 1] == 0) --last;
  const size_t data_end = last, entry_end = (last + 511) / 512 * 512;
  for (const size_t size : {size_t{1}, size_t{511}, size_t{600}, size_t{1600}, size_t{2048 + 700}, size_t{200'000}, data_end - 100}) {
    INFO(size);
    CHECK(refusal_of(BytesView(tar).first(size)).find("ends in the middle of an entry") != std::string::npos);
  }
  for (const size_t size : {size_t{0}, size_t{1536}, data_end, entry_end, entry_end + 512, entry_end + 1024})
    CHECK(refusal_of(BytesView(tar).first(size)) == "");
  CHECK(refusal_of(as_bytes(std::string(5000, 'x'))) == "no tar: at byte 0 there is no header of an entry");
  Bytes lone = tar;
  lone.insert(lone.begin(), 512, 0);
  CHECK(refusal_of(lone) == "no tar: at byte 0 there is one empty block where there must be two");
  Bytes behind = tar;
  behind.insert(behind.end(), 3'000'000, 'x');
  CHECK(joined(tar_chunks(behind)) == behind);
}

TEST_CASE("where tars are cut is final: what was converted once is the same bytes when it is converted again") {
  std::string sizes;
  for (const Bytes& chunk : tar_chunks(python_tar("GNU_FORMAT", kEveryKind))) sizes += std::to_string(chunk.size()) + " ";
  CHECK(sizes.starts_with("3072 110076 79108 67803 68917 86999 81054 68912 72076 106380 77159 18948 62664 "));
  CHECK(Cid::v0(Multihash::of(HashCode::kSha2_256, as_bytes(sizes))).to_string() == "QmbHBPrJKB6KUkqonZh2aRocDWDrNxq9auZEJViwVugaC8");
}

TEST_CASE("a change of one file moves the chunks near it alone") {
  const std::string body = "for i in range(3000): add(f\"usr/share/{i % 40}/{i}\", 200 + i * 7919 % 20_000)\n";
  const auto before = tar_chunks(python_tar("GNU_FORMAT", body));
  const auto after = tar_chunks(python_tar("GNU_FORMAT", "add(\"new\", 5000)\nfor i in range(3000):\n  add(f\"usr/share/{i % 40}/{i}\", 200 + "
                                                             "i * 7919 % 20_000)\n  if i == 1500: add(\"middle\", 100_000)\n"));
  const std::set<Bytes> known(before.begin(), before.end());
  const auto fresh = std::count_if(after.begin(), after.end(), [&](const Bytes& c) { return !known.contains(c); });
  CHECK(fresh <= 5);
  CHECK(after.size() > 200);
  const size_t average = joined(before).size() / before.size();
  CHECK(average > 4'000);
  CHECK(average < 30'000);
  // Files below the size from which one stands apart: then there are runs alone.
  const Bytes small = python_tar("GNU_FORMAT", "for i in range(3000): add(f\"etc/{i}\", 200 + i * 7919 % 6_000)");
  const size_t run = small.size() / tar_chunks(small).size();
  CHECK(run > 40'000);
  CHECK(run < 130'000);
}

TEST_CASE("another time of all files moves the headers and the small files with them alone") {
  const std::string body = "for i in range(2000): add(f\"usr/lib/{i}\", 200 + i * 7919 % 20_000, mtime=";
  const auto before = tar_chunks(python_tar("GNU_FORMAT", body + "1_700_000_000)"));
  const auto after = tar_chunks(python_tar("GNU_FORMAT", body + "1_750_000_000)"));
  const std::set<Bytes> known(before.begin(), before.end());
  size_t fresh = 0, expected = 0;
  for (const Bytes& chunk : after) fresh += known.contains(chunk) ? 0 : chunk.size();
  for (size_t i = 0; i < 2000; ++i) {
    const size_t size = 200 + i * 7919 % 20'000;
    expected += 512 + (size > TarSizes().alone ? 0 : (size + 511) / 512 * 512);
  }
  CHECK(fresh == expected);
  CHECK(fresh < joined(after).size() / 3);
}

TEST_CASE("the builder's leaves are the chunks, however the bytes come") {
  const Bytes tar = python_tar("GNU_FORMAT", kEveryKind);
  std::vector<Bytes> frames;
  for (const Bytes& chunk : tar_chunks(tar)) frames.push_back(frame_of(chunk));
  const Bytes blob = joined(frames);
  for (const size_t piece : {size_t{1000}, blob.size()}) {
    std::vector<Bytes> leaves;
    BlockCallback sink([&](const Cid& cid, BytesView block) {
      if (cid.codec() == Codec::kRaw) leaves.emplace_back(block.begin(), block.end());
    });
    Profile profile = named_profile("cid-version=1");
    profile.chunker = "zstd-frames";
    DagBuilder builder(profile, sink);
    for (BytesView rest = blob; !rest.empty(); rest = rest.subspan(std::min(piece, rest.size())))
      builder.append(rest.first(std::min(piece, rest.size())));
    builder.finish();
    CHECK(leaves == frames);
  }
  Bytes unpacked(tar.size());
  size_t at = 0;
  for (const Bytes& frame : frames)
    at += ZSTD_decompress(&unpacked[at], unpacked.size() - at, frame.data(), frame.size());
  CHECK(at == tar.size());
  CHECK(unpacked == tar);
}

TEST_CASE("frames of all sizes and flags") {
  std::mt19937 random(1);
  std::vector<Bytes> frames;
  for (const size_t size : {0, 1, 200, 255, 256, 70'000, 1 << 20}) {
    Bytes noise(size);
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
    for (const bool checksum : {false, true}) {
      frames.push_back(frame_of(noise, checksum));
      frames.push_back(frame_of(noise, checksum, false));
      frames.push_back(frame_of(Bytes(size, 'x'), checksum));
    }
    CHECK(frames.back().size() < size + 64);
  }
  frames.push_back({0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3});  // skippable
  const Bytes blob = joined(frames);
  CHECK(chunks_of(blob, make_chunker("zstd-frames")) == frames);
  const auto refused = [](BytesView bytes) {
    ZstdFrames chunker;
    try {
      chunker.cut(bytes);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refused(as_bytes("garbage!")) == "no zstd frames: at byte 0 there is no frame");
  CHECK(refused(BytesView(frames[15]).first(frames[15].size() - 1)) == "no zstd frames: at byte 0 the last frame is cut short");
  Bytes noise(3 << 20);
  for (uint8_t& byte : noise) byte = static_cast<uint8_t>(random());
  const Bytes large = frame_of(noise);
  CHECK(refused(BytesView(large).first(kMaxChunk)) == "no zstd frames: at byte 0 a frame has more than 2096896 bytes");
}

}  // namespace ipcs::ipld
