// Batches of chunks, each compressed on whatever processor is free, written in their order.
#include "image/framing.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "ipcs/error.hpp"
#include "oci/parallel.hpp"

namespace ipcs::image {
namespace {

constexpr size_t kBatch = 4 << 20;  // bytes of chunks that are compressed together
constexpr size_t kPiece = 1 << 20;

[[noreturn]] void fail(const std::string& what) {
  throw Error(errno == ENOSPC || errno == EDQUOT ? Code::kResourceExhausted : Code::kInternal,
              what + ": " + std::strerror(errno));
}

std::string directory() { return std::filesystem::temp_directory_path().string(); }

std::vector<uint8_t> compress(std::span<const uint8_t> chunk) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  if (!context) throw Error(Code::kResourceExhausted, "no memory to compress");
  // No checksum: every byte of a blob is under a digest already. The size of the content is in the frame.
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kZstdLevel);
  std::vector<uint8_t> frame(ZSTD_compressBound(chunk.size()));
  const size_t size = ZSTD_compress2(context.get(), frame.data(), frame.size(), chunk.data(), chunk.size());
  if (ZSTD_isError(size) != 0) throw Error(Code::kInternal, std::string("zstd: ") + ZSTD_getErrorName(size));
  frame.resize(size);
  return frame;
}

}  // namespace

Spool::Spool() {
  std::string path = directory() + "/ipcsctl-XXXXXX";
  fd_ = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd_ < 0) fail(path);
  ::unlink(path.c_str());
}

Spool::~Spool() { ::close(fd_); }

void Spool::write(std::span<const uint8_t> bytes) {
  hasher_.update(bytes);
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("a file in " + directory());
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

void Spool::read(const oci::Descriptor&, uint64_t from, const oci::Sink& sink, const oci::Call& call) {
  std::vector<uint8_t> buffer(kPiece);
  while (from < size_) {
    call.check();
    const ssize_t count = ::pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(from));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("a file in " + directory());
    if (count == 0) throw Error(Code::kDataLoss, "a file in " + directory() + " is shorter than it was");
    sink(std::span(buffer).first(static_cast<size_t>(count)));
    from += static_cast<uint64_t>(count);
  }
}

Framing::Framing(std::unique_ptr<Cutter> cutter, Spool& spool) : cutter_(std::move(cutter)), spool_(spool) {}
Framing::~Framing() = default;

void Framing::append(std::span<const uint8_t> bytes) {
  const size_t wanted = cutter_->max_size();
  while (!bytes.empty()) {
    const size_t taken = std::min(bytes.size(), wanted - (buffer_.size() - begin_));
    if (buffer_.size() + taken > 2 * wanted) {
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(begin_));
      begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    if (buffer_.size() - begin_ == wanted) cut();
  }
}

void Framing::cut() {
  const std::span<const uint8_t> rest = std::span(buffer_).subspan(begin_);
  const size_t size = cutter_->cut(rest);
  batch_.emplace_back(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(size));
  begin_ += size;
  batch_bytes_ += size;
  if (batch_bytes_ >= kBatch) flush();
}

void Framing::flush() {
  oci::run_parallel(batch_.size(), std::max(1U, std::thread::hardware_concurrency()), {},
                    [&](size_t i, const oci::Call&) { batch_[i] = compress(batch_[i]); });
  for (const auto& frame : batch_) spool_.write(frame);
  frames_ += batch_.size();
  batch_.clear();
  batch_bytes_ = 0;
}

void Framing::finish() {
  while (begin_ < buffer_.size()) cut();
  flush();
  if (frames_ > 0) return;
  batch_.emplace_back();  // even a tar of no bytes is something that zstd has made
  flush();
}

}  // namespace ipcs::image
