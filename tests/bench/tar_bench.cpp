// Cuts two versions of a tar as `image convert --chunker tar` does and prints sizes, and what an update moves; for developers.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "ipcs/error.hpp"
#include "ipld/dag_builder.hpp"
#include "ipld/tar_chunker.hpp"

using namespace ipcs::ipld;

namespace {

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error(std::string(path) + ": can't be read");
  Bytes bytes(static_cast<size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

constexpr int kLevel = 9;  // as in host/image/framing.hpp

// How a tar is cut and compressed.
struct Setting {
  TarSizes sizes;
  int level = kLevel;
};

// "ALONE,LARGE,LEAST,TARGET,MOST,CDC_MIN,CDC_AVERAGE,CDC_MAX,LEVEL": TarSizes in KiB, and zstd's level.
Setting setting_of(const char* text) {
  Setting setting;
  TarSizes& sizes = setting.sizes;
  size_t* const fields[] = {&sizes.alone, &sizes.large, &sizes.least, &sizes.target, &sizes.most, &sizes.cdc_min, &sizes.cdc_average, &sizes.cdc_max};
  std::istringstream in(text);
  for (size_t* field : fields) {
    char comma = 0;
    if (!(in >> *field >> comma) || comma != ',') throw std::runtime_error(std::string(text) + ": want nine numbers");
    *field <<= 10;
  }
  if (!(in >> setting.level) || !in.eof()) throw std::runtime_error(std::string(text) + ": want nine numbers");
  return setting;
}

struct Frames {
  std::vector<Bytes> frames;
  uint64_t bytes = 0;
  std::map<Cid, uint64_t> blocks;  // of the file's DAG, and their sizes
};

Frames frames_of(const Bytes& tar, const Setting& setting) {
  std::vector<BytesView> chunks;
  TarChunker chunker(setting.sizes);
  for (BytesView rest = tar; !rest.empty();) {
    chunks.push_back(rest.first(chunker.cut(rest.first(std::min(rest.size(), chunker.max_size())))));
    rest = rest.subspan(chunks.back().size());
  }
  Frames result;
  result.frames.resize(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, setting.level);
    for (size_t i; (i = next++) < chunks.size();) {
      Bytes out(ZSTD_compressBound(chunks[i].size()));
      out.resize(ZSTD_compress2(context, out.data(), out.size(), chunks[i].data(), chunks[i].size()));
      out.shrink_to_fit();
      result.frames[i] = std::move(out);
    }
    ZSTD_freeCCtx(context);
  };
  {
    std::jthread other(work);
    work();
  }
  BlockCallback sink([&](const Cid& cid, BytesView block) { result.blocks.emplace(cid, block.size()); });
  Profile profile = named_profile("default");
  profile.chunker = "zstd-frames";
  DagBuilder builder(profile, sink);
  for (const Bytes& f : result.frames) {
    result.bytes += f.size();
    builder.append(f);
  }
  builder.finish();
  return result;
}

uint64_t gzip_size(const Bytes& bytes) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
  Bytes out(1 << 20);
  uint64_t size = 0;
  z.next_in = const_cast<uint8_t*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  int result = Z_OK;
  while (result != Z_STREAM_END) {
    z.next_out = out.data();
    z.avail_out = static_cast<uInt>(out.size());
    result = deflate(&z, Z_FINISH);
    size += out.size() - z.avail_out;
  }
  deflateEnd(&z);
  return size;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr,
               "usage: {} OLDER.tar NEWER.tar PERCENT [ALONE,LARGE,LEAST,TARGET,MOST,CDC_MIN,CDC_AVERAGE,CDC_MAX,LEVEL …]\n"
               "ALONE to CDC_MAX are TarSizes in KiB, LEVEL is zstd's; without any: those of the chunker \"tar\"\n",
               argv[0]);
    return 2;
  }
  try {
    const double goal = std::stod(argv[3]);
    std::vector<std::pair<std::string, Setting>> settings;
    for (int i = 4; i < argc; ++i) settings.emplace_back(argv[i], setting_of(argv[i]));
    if (settings.empty()) settings.emplace_back("tar", Setting{});
    const Bytes older = read_file(argv[1]), newer = read_file(argv[2]);
    const double gzip = static_cast<double>(gzip_size(newer));
    const auto missed = [](bool is_missed) { return is_missed ? "  missed" : ""; };
    fmt::print("tar {:.1f} MB: {:.2f} of gzip -6, {:.1f} MB; goals: size 1.05, update {} %\n", static_cast<double>(newer.size()) / 1e6,
               static_cast<double>(newer.size()) / gzip, gzip / 1e6, goal);
    for (const auto& [name, setting] : settings) {
      const Frames a = frames_of(older, setting), b = frames_of(newer, setting);
      const std::set<Bytes> known(a.frames.begin(), a.frames.end());
      std::set<Bytes> moved;
      uint64_t frame_bytes = 0, block_bytes = 0, blocks = 0;
      for (const Bytes& frame : b.frames) {
        if (!known.contains(frame) && moved.insert(frame).second) frame_bytes += frame.size();
      }
      for (const auto& [cid, bytes] : b.blocks) {
        if (a.blocks.contains(cid)) continue;
        block_bytes += bytes;
        ++blocks;
      }
      const double size = static_cast<double>(b.bytes) / gzip, update = 100 * static_cast<double>(block_bytes) / gzip;
      fmt::print("{}: {} bytes in {} frames: {:.3f} of gzip{}\n", name, b.bytes, b.frames.size(), size, missed(size > 1.05));
      fmt::print("  update: {} bytes in {} blocks: {:.2f} % of gzip{}; frames alone {} in {}: {:.2f} %\n", block_bytes, blocks, update,
                 missed(update > goal), frame_bytes, moved.size(), 100 * static_cast<double>(frame_bytes) / gzip);
      std::fflush(stdout);
    }
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", argv[0], e.what());
    return 1;
  }
}
