// Cuts two versions of a tar as `image convert --chunker tar` does and prints sizes, and what an update moves; for developers.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>
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

struct Frames {
  std::vector<Bytes> frames;
  uint64_t bytes = 0;
};

constexpr int kLevel = 9;  // as in host/image/framing.hpp

Frames frames_of(const Bytes& tar) {
  std::vector<BytesView> chunks;
  TarChunker chunker;
  for (BytesView rest = tar; !rest.empty();) {
    chunks.push_back(rest.first(chunker.cut(rest.first(std::min(rest.size(), chunker.max_size())))));
    rest = rest.subspan(chunks.back().size());
  }
  Frames result;
  result.frames.resize(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kLevel);
    for (size_t i; (i = next++) < chunks.size();) {
      Bytes out(ZSTD_compressBound(chunks[i].size()));
      out.resize(ZSTD_compress2(context, out.data(), out.size(), chunks[i].data(), chunks[i].size()));
      result.frames[i] = std::move(out);
    }
    ZSTD_freeCCtx(context);
  };
  {
    std::jthread other(work);
    work();
  }
  for (const Bytes& f : result.frames) result.bytes += f.size();
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
  if (argc != 4) {
    fmt::print(stderr, "usage: {} OLDER.tar NEWER.tar PERCENT\n", argv[0]);
    return 2;
  }
  try {
    const Bytes newer = read_file(argv[2]);
    const double gzip = static_cast<double>(gzip_size(newer));
    const Frames a = frames_of(read_file(argv[1])), b = frames_of(newer);
    const std::set<Bytes> known(a.frames.begin(), a.frames.end());
    std::set<Bytes> moved;
    uint64_t bytes = 0;
    for (const Bytes& frame : b.frames) {
      if (!known.contains(frame) && moved.insert(frame).second) bytes += frame.size();
    }
    const double size = static_cast<double>(b.bytes) / gzip, update = 100 * static_cast<double>(bytes) / gzip;
    const auto missed = [](bool is_missed) { return is_missed ? "  missed" : ""; };
    fmt::print("tar {:.1f} MB, gzip -6 {:.1f} MB\n", static_cast<double>(newer.size()) / 1e6, gzip / 1e6);
    fmt::print("frames {} in {}: {:.3f} of gzip, goal 1.05{}\n", b.bytes, b.frames.size(), size, missed(size > 1.05));
    fmt::print("update {} in {}: {:.1f} % of gzip, goal {} %{}\n", bytes, moved.size(), update, argv[3],
               missed(update > std::atof(argv[3])));
    fmt::print("--uncompressed: {:.2f} of gzip\n", static_cast<double>(newer.size()) / gzip);
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", argv[0], e.what());
    return 1;
  }
}
