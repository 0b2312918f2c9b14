// Cuts two versions of a tar as `image convert --chunker tar` does and prints sizes, and what an update moves; for developers.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "ipcs/error.hpp"
#include "ipld/dag_builder.hpp"
#include "ipld/tar_chunker.hpp"

using namespace ipcs::ipld;

namespace {

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  Bytes bytes(static_cast<size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

struct Frames {
  std::vector<Bytes> frames;
  uint64_t bytes = 0;
};

Frames frames_of(const Bytes& tar, TarSizes sizes, int level) {
  std::vector<BytesView> chunks;
  TarChunker chunker(sizes);
  for (BytesView rest = tar; !rest.empty();) {
    chunks.push_back(rest.first(chunker.cut(rest.first(std::min(rest.size(), chunker.max_size())))));
    rest = rest.subspan(chunks.back().size());
  }
  Frames result;
  result.frames.resize(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
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
  const Bytes old_tar = read_file(argv[1]), new_tar = read_file(argv[2]);
  const double gzip = static_cast<double>(gzip_size(new_tar));
  fmt::print("gzip {:.0f} of {}\n", gzip, new_tar.size());
  for (int i = 3; i < argc; ++i) {
    TarSizes s;
    int level = 0;
    size_t v[8];
    std::sscanf(argv[i], "%d,%zu,%zu,%zu,%zu,%zu,%zu,%zu,%zu", &level, v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7);
    s = {v[0] << 10, v[1] << 10, v[2] << 10, v[3] << 10, v[4] << 10, v[5] << 10, v[6] << 10, v[7] << 10};
    const auto t0 = std::chrono::steady_clock::now();
    const Frames a = frames_of(old_tar, s, level), b = frames_of(new_tar, s, level);
    const double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
    std::set<Bytes> known(a.frames.begin(), a.frames.end()), moved;
    uint64_t bytes = 0;
    for (const Bytes& f : b.frames)
      if (!known.contains(f) && moved.insert(f).second) bytes += f.size();
    fmt::print("{:40} ratio {:.4f} frames {} moved {} = {:.2f}% {:.1f}s\n", argv[i], b.bytes / gzip, b.frames.size(), bytes, 100 * bytes / gzip, t);
  }
}
